#pragma once

/*
 * The Anthropic Messages API (wire-formats.md B, E.1, E.3), as its files share it:
 *
 *   anthropic_messages_request.c   members of a request -> neutral
 *   anthropic_messages_content.c   its messages and their blocks -> turns
 *   anthropic_messages_body.c      neutral -> request
 *   anthropic_messages_tools.c     tools and tool_choice of it
 *   anthropic_messages_turns.c     system and messages of it
 *   anthropic_messages_media.c     images and documents in them
 *   anthropic_messages_schema.c    JSON Schema as Anthropic takes it
 *   anthropic_messages_read.c      replies -> events
 *   anthropic_messages_parts.c     content blocks of a reply -> events
 *   anthropic_messages_write.c     events -> replies
 *   anthropic_messages_blocks.c    the content blocks of a reply, one after the other
 */

#include "dialect/event.h"
#include "dialect/wrapped.h"

/* The tool whose input is the answer where a model has no structured output (LiteLLM's name). */
#define ANSWER_TOOL "json_tool_call"

/* Names and ids as the API takes them: [A-Za-z0-9_-], and this long (names: LiteLLM's limit). */
enum { MESSAGES_NAME_MAX = 128, MESSAGES_ID_MAX = 64 };

/* --- requests read -------------------------------------------------------------------------- */

struct messages_reading {
    struct neutral *n;
    const struct json_tape *t;
    struct fault *f;
    unsigned message; /* being read, from 0 */
};

/* A fault of the message being read. Always false. */
bool messages_bad(struct messages_reading *r, const char *what);

/* Reads `system` and the items of `messages` into turns. */
bool messages_system_read(struct messages_reading *r, const struct json_val *v);
bool messages_turns_read(struct messages_reading *r, const struct json_val *messages);

bool messages_request_read(struct neutral *n, const struct json_tape *t, struct fault *f);

/* --- requests written ----------------------------------------------------------------------- */

/* Members of the body that are written from more than one parameter. */
enum messages_member {
    M_MODEL,
    M_MAX_TOKENS,
    M_TOOLS,
    M_TOOL_CHOICE,
    M_SYSTEM,
    M_MESSAGES,
    M_THINKING,
    M_OUTPUT_CONFIG,
    M_STOP_SEQUENCES,
    M_TEMPERATURE,
    M_TOP_P,
    M_TOP_K,
    M_METADATA,
    M_SERVICE_TIER,
    M_STREAM,
    MESSAGES_MEMBERS,
};

enum schema_way { SCHEMA_NONE, SCHEMA_NATIVE, SCHEMA_TOOL };

/* A request being written, and what was decided before the first byte. */
struct messages_writing {
    struct jout *o;
    struct neutral *n;
    const struct upstream_model *m;
    struct fault *f;
    uint32_t written;    /* enum messages_member, bits */
    unsigned skip_marks; /* cache marks still to leave out: the last four count */
    uint8_t choice;      /* enum choice, for the tools below */
    uint8_t schema;      /* enum schema_way */
    bool forces_answer;  /* ANSWER_TOOL must be called */
    uint8_t thinking;    /* enum thinking; ON: with a budget */
    uint8_t effort;      /* enum effort, beside THINKING_ADAPTIVE */
    uint64_t budget, max_tokens;
};

static inline bool messages_thinks(const struct messages_writing *w)
{
    return w->thinking == THINKING_ON || w->thinking == THINKING_ADAPTIVE ||
           w->thinking == THINKING_BETWEEN_TOOLS;
}

/* ,"name": */
void messages_put_key(struct messages_writing *w, enum messages_member m);

/* JSON or text as it is; lent where it is large. */
static inline void messages_put_raw(struct messages_writing *w, struct str raw)
{
    jout_text(w->o, (struct jstr){raw.p, raw.n});
}

/* ,"cache_control":... of a block or tool that bears a mark. */
void messages_put_cache(struct messages_writing *w, struct str cache);

/* A parameter that this upstream does not take: false, or true where it may be dropped. */
bool messages_may_drop(struct messages_writing *w, const char *param);

/* Decides `choice`, and what becomes of thinking beside a forced tool. */
bool messages_choice_plan(struct messages_writing *w);
/* tools and tool_choice, where there are any. */
bool messages_put_tools(struct messages_writing *w);

/* system and messages. */
bool messages_put_turns(struct messages_writing *w);

/* Whether tool calls or results stand in the history. */
bool messages_has_calls(const struct neutral *n);
/* The last turn with tool calls shows no reasoning, and no other turn does (which the API refuses
 * beside `thinking`). */
bool messages_lacks_thinking(const struct neutral *n);
enum fate { FATE_WRITE, FATE_SKIP, FATE_REFUSE /* the fault is set */ };

/* An image, document or audio: whether it can be carried, and its block. */
enum fate messages_media_fate(struct messages_writing *w, const struct block *b);
bool messages_put_media(struct messages_writing *w, const struct block *b);

/* The root of a tool's schema: type object, with properties, no unions. Empty: no parameters. */
void schema_put_input(struct jout *o, struct str schema);
/* A schema for output_config; what the API refuses becomes a note in its description. */
void schema_put_output(struct jout *o, struct str schema);
/* Some object in it takes members it does not name, which output_config cannot express. */
bool schema_is_open(struct bufpool *pool, struct str schema);

bool messages_request_write(struct jout *o, struct neutral *n, const struct upstream_model *m,
                            struct fault *f);

/* --- replies read --------------------------------------------------------------------------- */

enum messages_part {
    PART_TEXT,
    PART_HELD, /* text before the answer */
    PART_REASONING,
    PART_CALL,
    PART_WRAPPED, /* a call of a tool that takes free text, told as a function (wrapped.h) */
    PART_ANSWER,  /* a call that is the answer */
    PART_OPAQUE,
};

/* A content block of the upstream that has begun. */
struct messages_open {
    struct messages_open *next;
    uint64_t index;   /* the upstream's */
    uint32_t block;   /* ours */
    uint8_t part;     /* enum messages_part */
    uint8_t half_n;   /* bytes in half[] */
    char half[6];     /* the escape of half a character (F.16) */
    bool has_text;    /* fragments came */
    size_t began;     /* bytes of `input` it began with */
    struct buf input; /* object or block it began with; what fragments brought behind it */
    struct wrapped wrapped;
};

struct messages_reader {
    struct reader_env env;
    struct messages_open *open, *spare;
    unsigned n_open;
    uint32_t next_block;
    struct buf scratch, unwrapped;
    struct buf held; /* text before the answer */
    struct jstr tier;
    bool started, finished, ended, failed;
    bool called, answered; /* a tool of the client's; ANSWER_TOOL */
};

void messages_emit(struct messages_reader *r, struct event e);

/* A content block begins, complete or empty; what cannot stay open beside it ends. */
void messages_open_begin(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                         const struct json_val *v);
/* A text block; `v` NULL: one that comes without a beginning. */
void messages_open_text_block(struct messages_reader *r, const struct json_tape *t, uint64_t index,
                              const struct json_val *v);
struct messages_open *messages_open_find(struct messages_reader *r, uint64_t index);

/* More of its text or input, as the upstream cut it. */
void messages_open_text(struct messages_reader *r, struct messages_open *p, struct jstr text);
void messages_open_signature(struct messages_reader *r, struct messages_open *p,
                             struct jstr signature, bool redacted);
void messages_open_citation(struct messages_reader *r, struct messages_open *p,
                            struct str citation);
void messages_open_end(struct messages_reader *r, struct messages_open *p);

/* Ends all that are open but calls, or those too. */
void messages_end_open(struct messages_reader *r, bool calls_too);
/* What was held is the answer after all. */
void messages_release_held(struct messages_reader *r);

void messages_reader_init(void *reader, const struct reader_env *env);
void messages_read_event(void *reader, struct str name, const struct json_tape *data);
void messages_read_reply(void *reader, const struct json_tape *reply);
bool messages_reader_end(void *reader, bool done);
void messages_reader_deinit(void *reader);

/* --- replies written ------------------------------------------------------------------------ */

/* A block of the reply: the first of them is being written, the others wait for it. */
struct messages_piece {
    struct messages_piece *next;
    uint32_t block;
    uint8_t kind; /* enum block_kind */
    bool is_custom, is_redacted, is_foreign, ended;
    bool open;            /* its start was written */
    struct jstr id, name; /* in the arena */
    struct buf text;      /* what waits: inside of a string; of an opaque block all of it */
    struct buf signature, citations;
};

/* How far the arguments of a call have come, which says when nothing may follow. */
struct arguments_scan {
    uint32_t depth;
    bool seen, in_string, escaped;
};

/*
 * Content blocks as the API has them: one after the other, whatever order their parts come in. A
 * stream is written as it comes; for a whole reply each block is written when it is complete.
 */
struct messages_blocks {
    struct jout *o;
    struct arena *arena;
    bool stream,
        failed;     /* failed: a part came for a block that had been closed, or too much waits */
    bool called;    /* some tool was called */
    uint32_t index; /* of the next block */
    /* private */
    struct messages_piece *first, *last, *spare;
    unsigned waiting;           /* pieces behind the first */
    size_t waiting_bytes;       /* their texts */
    struct arguments_scan scan; /* of the first */
    uint8_t lead_n;
    char lead[160]; /* what stands before each of its deltas */
};

void messages_blocks_init(struct messages_blocks *b, const struct writer_env *env, struct jout *o);
void messages_blocks_deinit(struct messages_blocks *b);
/* BLOCK, DELTA, SIGNATURE, CITATION, BLOCK_END and OPAQUE. */
void messages_blocks_event(struct messages_blocks *b, const struct event *e);
/* No more parts will come: writes all there is. */
void messages_blocks_end(struct messages_blocks *b);
