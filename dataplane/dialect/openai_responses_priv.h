#pragma once

/*
 * The OpenAI Responses API (wire-formats.md C, E.2, E.3), as its files share it:
 *
 *   openai_responses_request.c   members of a request -> neutral
 *   openai_responses_input.c     its items -> turns
 *   openai_responses_body.c      neutral -> request
 *   openai_responses_read.c      replies -> events
 *   openai_responses_in.c        their items -> blocks
 *   openai_responses_write.c     events -> replies
 *   openai_responses_items.c     blocks -> their items
 *   openai_responses_notes.c     citations, logprobs
 *   openai_responses_kept.c      conversations that are kept
 */

#include "dialect/event.h"
#include "dialect/id_set.h"

static inline struct jstr json_text_at(const struct json_tape *t, const struct json_val *v,
                                       struct str key)
{
    return json_text(t, json_get(t, v, key));
}

/* A request being read. */
struct responses_reading {
    struct neutral *n;
    const struct json_tape *t;
    struct fault *f;
    unsigned item;         /* of input, being read */
    struct block *result;  /* its parts are being read; NULL: parts of a message */
    bool has_text;         /* the last turn has a message ... */
    bool has_call;         /* ... a call ... */
    bool has_only_results; /* ... nothing but outputs */
    unsigned n_tools;
    struct id_set named;           /* the tools there are, by name; filled when it is asked ... */
    const struct tool *in_set;     /* ... up to this one */
    const struct json_val *choice; /* tool_choice, read behind the tools; may be NULL */
};

/* Reads the items of `input` (an array) behind the turns there are. */
bool responses_items_read(struct responses_reading *r, const struct json_val *items);

/* Reads a list of tools behind those there are; `again`: what was named before is left out. */
bool responses_tools_read(struct responses_reading *r, const struct json_val *tools, bool again);

/* A fault of the item being read. Always false. */
bool responses_item_bad(struct responses_reading *r, const char *what);

/* "space__name" of a tool in a namespace; the name alone without one. */
struct jstr responses_flat_name(struct responses_reading *r, struct jstr space, struct jstr name);

bool responses_request_write(struct jout *o, struct neutral *n, const struct upstream_model *m,
                             struct fault *f);

/* --- replies of an upstream --------------------------------------------------------------------
 */

/* An item of the reply; kept for the life of the reader. */
struct responses_in {
    struct responses_in *next; /* newest first */
    struct jstr id;
    uint32_t index;     /* output_index */
    uint32_t block;     /* the open one */
    uint32_t part;      /* content or summary parts begun */
    uint8_t kind;       /* enum block_kind of the item: a message is BLOCK_TEXT */
    uint8_t block_kind; /* of the open block */
    bool is_custom, is_open, is_done;
    bool is_redacted;
    bool has_text;  /* the open block has some ... */
    bool has_notes; /* ... citations */
    bool has_half;  /* `half` is held back */
    char half[6];
};

struct responses_reader {
    struct reader_env env;
    struct responses_in *items;
    struct responses_in *text; /* whose text, refusal or reasoning is open */
    uint32_t n_items, n_blocks;
    bool started, has_call, has_refused, is_over;
};

/* The error that ends the reply. */
void responses_in_error(struct responses_reader *r, const struct error_facts *f);
/* START, once; `response` may be NULL. */
void responses_in_start(struct responses_reader *r, const struct json_tape *t,
                        const struct json_val *response);
/* The newest item under that index, of any or of one kind: broken upstreams use one for several. */
struct responses_in *responses_in_at(const struct responses_reader *r, uint32_t index);
struct responses_in *responses_in_of_kind(const struct responses_reader *r, uint32_t index,
                                          enum block_kind kind);
/* NULL: too many of them, which ended the reply, or no memory. */
struct responses_in *responses_in_new(struct responses_reader *r, uint32_t index,
                                      enum block_kind kind);
enum block_kind responses_in_kind(const struct json_tape *t, const struct json_val *item);
struct responses_in *responses_in_begin(struct responses_reader *r, const struct json_tape *t,
                                        const struct json_val *item, uint32_t index);
/*
 * Opens the item's block for the text of a part; false when that was said before. `again`: it goes
 * on, in a block of its own where another came between.
 */
bool responses_in_part(struct responses_reader *r, struct responses_in *in, enum block_kind kind,
                       uint32_t part, bool again);
bool responses_in_summary(struct responses_reader *r, struct responses_in *in, uint32_t part,
                          bool again);
void responses_in_text(struct responses_reader *r, struct responses_in *in, struct jstr text);
void responses_in_citation(struct responses_reader *r, struct responses_in *in,
                           const struct json_tape *t, const struct json_val *note);
void responses_in_logprobs(struct responses_reader *r, struct responses_in *in,
                           const struct json_tape *t, const struct json_val *list);
void responses_in_block_end(struct responses_reader *r, struct responses_in *in);
/* A part, an item as it is in the end: what of it did not come yet, and the item's end. */
void responses_in_part_whole(struct responses_reader *r, struct responses_in *in,
                             const struct json_tape *t, const struct json_val *part,
                             uint32_t index);
void responses_in_whole(struct responses_reader *r, struct responses_in *in,
                        const struct json_tape *t, const struct json_val *item);

void responses_reader_init(void *reader, const struct reader_env *env);
void responses_read_event(void *reader, struct str name, const struct json_tape *data);
void responses_read_reply(void *reader, const struct json_tape *reply);
bool responses_reader_end(void *reader, bool done);
void responses_reader_deinit(void *reader);

/*
 * Ids of items: a prefix and 36 digits, 32 of the response's id and 4 of the item, so that an
 * item_reference tells where to look. Of items of a reply the first bit of the 4 is set.
 */
enum { RESPONSES_ID_DIGITS = 36, RESPONSES_ID_MAX = 48 };
size_t responses_put_digits(char *out, const uint64_t id[2], unsigned item);

/* --- replies to a client -------------------------------------------------------------------------
 */

/* A tool in a namespace: the first `n` bytes of its name. */
struct responses_space {
    struct responses_space *next;
    struct jstr name;
    size_t n;
};

/* An item being written: its JSON grows with it, so that its end has all of it. */
struct responses_out {
    struct responses_out *next; /* in the order of output_index */
    struct buf json;
    size_t text_at; /* in json: the text being written ... */
    size_t part_at; /* ... and the part it is in */
    uint32_t index; /* output_index */
    uint32_t block; /* of the events */
    uint32_t part;  /* parts begun */
    uint32_t notes; /* annotations of the part */
    uint8_t kind;   /* enum block_kind: a message is BLOCK_TEXT */
    uint8_t part_kind;
    bool is_custom;
    bool in_part, is_done;
    uint8_t id_n;
    char id[RESPONSES_ID_MAX];
    struct jstr name;   /* of a call */
    struct jstr sealed; /* reasoning: encrypted_content */
};

struct responses_writer {
    struct writer_env env;
    struct bufpool *pool;
    struct responses_space *spaces;
    struct buf echo;             /* members of the Response that repeat the request */
    struct buf output;           /* the finished items, but those behind an open one */
    struct buf notes, logprobs;  /* of the text part being written */
    struct responses_out *first; /* not in `output` yet */
    struct responses_out *last;
    struct responses_out *message; /* the open one */
    struct {                       /* a block of text that has none yet */
        uint32_t block;
        uint8_t kind;
        bool is_set;
    } pending;
    uint64_t created, sequence;
    size_t counted_at; /* in the text part: its first `characters` end there */
    uint64_t characters;
    struct usage usage;
    struct jstr tier;
    uint32_t n_items, n_open;
    uint8_t stop; /* enum stop */
    bool started, is_over, has_usage, has_refused, is_quiet;
    uint8_t id_n;
    char id[RESPONSES_ID_MAX];
};

void responses_writer_init(void *writer, const struct writer_env *env);
void responses_write(void *writer, const struct event *e);
void responses_writer_deinit(void *writer);

/* An event of the stream up to its sequence number; false: none is to be written. */
bool responses_event_begin(struct responses_writer *w, struct str type);
void responses_event_end(struct responses_writer *w);
/* prefix + the digits of the seed and of the n-th item; its length. */
uint8_t responses_make_id(const struct responses_writer *w, char *out, struct str prefix,
                          uint32_t n);

/* Bytes kept for the end of the reply; too many of them fail it. */
void responses_out_put(struct responses_writer *w, struct buf *b, struct str s);
/* An event of the part being written, up to its index. */
bool responses_out_event(struct responses_writer *w, const struct responses_out *o,
                         struct str type);
void responses_out_number(struct responses_writer *w, struct str head, uint64_t v);
/* The part of a block of text; begun when its first text or note comes, so that none is empty. */
struct responses_out *responses_out_part(struct responses_writer *w, uint32_t block);

/* What the events say of blocks, as items. */
void responses_item_block(struct responses_writer *w, const struct event *e);
void responses_item_delta(struct responses_writer *w, const struct event *e);
void responses_item_note(struct responses_writer *w, const struct event *e);
void responses_item_logprobs(struct responses_writer *w, const struct event *e);
void responses_item_signature(struct responses_writer *w, const struct event *e);
void responses_item_block_end(struct responses_writer *w, const struct event *e);
void responses_item_opaque(struct responses_writer *w, const struct event *e);
/* Ends what is open, in order. */
void responses_items_end(struct responses_writer *w, struct str status);
void responses_items_free(struct responses_writer *w);
