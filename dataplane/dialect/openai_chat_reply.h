#pragma once

/* The reader of chat replies: what its two files share. */

#include "dialect/openai_chat_priv.h"

enum { CHAT_CHOICES_MAX = 128, CHAT_CALLS_MAX = 256 };

/* The first half of a surrogate pair that waits for the second (F.16). */
struct half {
    uint8_t n; /* 0 or 6 */
    char p[6];
};

/* How far arguments are a complete JSON value, seen through the escapes of their text. */
struct progress {
    uint16_t depth;
    bool in_string, escaped, begun;
};

struct chat_call {
    struct chat_call *next; /* newest first */
    uint64_t index;         /* upstream's number of it; may be that of an older one too (F.21) */
    uint32_t block;
    bool has_index, is_custom, is_open, is_closed;
    bool is_decided, is_wrapped; /* its text is read out of its arguments */
    uint8_t fragments;           /* counted up to 2 */
    struct jstr id, name;        /* in the arena */
    struct progress progress;
    struct wrapped wrapped;
    struct half half;
    struct buf early; /* arguments that came before it could begin */
};

struct chat_choice {
    struct chat_choice *next;
    uint32_t index;
    bool is_open; /* a block of `kind` is, which is no tool call */
    uint8_t kind; /* enum block_kind */
    uint32_t block;
    struct half half;
    bool is_finished, refused, called;
    unsigned n_calls, n_open; /* n_open: calls whose block is open */
    struct chat_call *calls;
    struct buf late;    /* text that came among unfinished calls */
    struct buf details; /* reasoning_details so far, comma separated */
    bool details_count; /* some of them cannot be done without */
};

struct chat_reader {
    struct reader_env env;
    struct chat_choice *choices, *last; /* in the order they came; the one used last */
    uint32_t blocks;                    /* number of the next one */
    bool is_started, is_failed, has_usage;
    uint32_t made_ids;
    uint8_t tier_n;
    char tier[24]; /* service_tier */
    uint8_t id_n;
    char id[24];                       /* end of the reply's id, what of it an id may hold */
    struct buf joined, plain, compact; /* scratch, of one delta */
};

/* Sends an event of a choice. */
void chat_emit(struct chat_reader *r, const struct chat_choice *c, struct event *e);

/* More text of a block. */
void chat_delta(struct chat_reader *r, const struct chat_choice *c, enum block_kind kind,
                uint32_t block, struct half *half, struct jstr text);
/* Ends a block: what waits for its second half is none. */
void chat_close(struct chat_reader *r, const struct chat_choice *c, enum block_kind kind,
                uint32_t block, struct half *half);
/* Ends the text, refusal or reasoning that is open. */
void chat_close_block(struct chat_reader *r, struct chat_choice *c);

/* Fragments of tool calls: `list` of a delta or message; a deprecated function_call. */
void chat_read_calls(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                     const struct json_val *list);
void chat_read_function_call(struct chat_reader *r, struct chat_choice *c,
                             const struct json_tape *t, const struct json_val *call);

/* All calls have said a whole JSON value. */
bool chat_calls_complete(const struct chat_choice *c);
/* One of them ended in the middle of it. */
bool chat_calls_cut(const struct chat_choice *c);
/* Begins those that still wait, ends all. */
void chat_close_calls(struct chat_reader *r, struct chat_choice *c);
void chat_free_calls(struct chat_reader *r, struct chat_choice *c);

void chat_reader_init(void *reader, const struct reader_env *env);
void chat_read_event(void *reader, struct str name, const struct json_tape *data);
void chat_read_reply(void *reader, const struct json_tape *reply);
bool chat_reader_end(void *reader, bool done);
void chat_reader_deinit(void *reader);
