#pragma once

/* The writer of chat replies: what its two files share. */

#include "dialect/openai_chat_priv.h"

/* Parts of a message that grow: texts, or values with commas between them. */
enum fold {
    FOLD_CONTENT,
    FOLD_REFUSAL,
    FOLD_REASONING,
    FOLD_THINKING,
    FOLD_ITEMS,
    FOLD_DETAILS,
    FOLD_ANNOTATIONS,
    FOLD_CITATIONS,
    FOLD_LOGPROBS,
    FOLD_REFUSAL_LOGPROBS,
    FOLD_MEMBERS,
    FOLDS
};

struct said_call {
    struct said_call *next;
    uint32_t block, number;
    bool is_custom, has_text;
    struct jstr id, name;
    struct jstr whole; /* the arguments, once it ended; in the arena */
    struct buf text;   /* until then */
};

struct said { /* one choice */
    struct said *next;
    uint32_t index;
    bool has_begun; /* its role was sent */
    bool refused, is_redacted;
    bool is_too_long;           /* the reasoning that is open */
    uint8_t stop, origin;       /* origin: of it */
    size_t reasoning_from;      /* where its text begins */
    struct jstr id, signature;  /* of the open reasoning, in the arena */
    uint32_t cited_block;       /* 1 + the block whose citations are gathered */
    uint64_t chars, chars_from; /* of the text so far, and before the open block */
    unsigned n_calls;
    struct said_call *calls, *last_call;
    struct buf fold[FOLDS];
};

struct chat_writer {
    struct writer_env env;
    bool include_usage, functions;
    struct str head;
    struct said *said, *last;
    struct chat_tail tail;
    struct jout growing; /* where a part is being written */
};

/* A chunk up to what is in its delta; the first of a choice tells the role. */
struct jout *chat_chunk_begin(struct chat_writer *w, struct said *c, bool is_content);
/* `rest` closes what is open, finish_reason included. */
void chat_chunk_end(struct chat_writer *w, struct str rest);
#define CHAT_DELTA_END STR("},\"finish_reason\":null")

/* Writes to what grows; failure is the writer's. */
struct jout *chat_grow(struct chat_writer *w, struct buf *b);
/* One text more: of `member` ("name":") in a chunk, or of a part. */
void chat_put_delta(struct chat_writer *w, struct said *c, enum fold f, struct str member,
                    struct jstr text);

void chat_reasoning_begin(struct chat_writer *w, struct said *c, const struct event *e);
void chat_reasoning_delta(struct chat_writer *w, struct said *c, struct jstr text);
void chat_reasoning_signature(struct chat_writer *w, struct said *c, const struct event *e);
void chat_reasoning_end(struct chat_writer *w, struct said *c);

void chat_put_citation(struct chat_writer *w, struct said *c, const struct event *e);
void chat_put_logprobs(struct chat_writer *w, struct said *c, const struct event *e);
/* A member of the message in chat's own words: audio, images. */
void chat_put_opaque(struct chat_writer *w, struct said *c, const struct event *e);
/* Characters of a text that stands in a JSON string. */
