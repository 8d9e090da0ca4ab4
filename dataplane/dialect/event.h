#pragma once

/*
 * A reply in no API's words: what a model says, as events in order. A dialect reads a stream or a
 * whole reply into them and another writes its own from them; a whole reply is the fold of the same
 * events.
 *
 *   START (BLOCK DELTA* [SIGNATURE] BLOCK_END)* FINISH USAGE? END      ERROR ends it anywhere
 *
 * Several choices (n > 1) each have their own blocks and FINISH. Blocks are numbered from 0 in the
 * order in which they begin, over all choices. Only tool calls may be open side by side; text,
 * refusal and reasoning end before the next block of their choice begins. USAGE may come several
 * times: the last holds. A reader that sees the end of its stream without its proper end emits no
 * END; reader_end() then tells what was missing.
 */

#include "common/gateway/usage.h"
#include "common/jout.h"

#include "dialect/envelope.h"
#include "dialect/neutral.h"
#include "dialect/reply_scan.h"

enum event_kind {
    EVENT_START,     /* id, created, name: system_fingerprint; as upstream said, may be empty */
    EVENT_BLOCK,     /* block, block_kind; of a tool call id, name, is_custom; of reasoning origin,
                        is_redacted */
    EVENT_DELTA,     /* text: more of the block's text or arguments, as a JSON string's inside */
    EVENT_SIGNATURE, /* signature (and id) of the reasoning block: replaces; origin */
    EVENT_CITATION,  /* raw: one citation or annotation, origin says in whose words */
    EVENT_LOGPROBS,  /* raw: an array of chat's token entries, of the delta before it */
    EVENT_BLOCK_END,
    EVENT_OPAQUE, /* raw: a block or item only clients of `origin` understand; of chat the member
                     `name` of the message */
    EVENT_FINISH, /* of a choice: stop; stop_sequence where it is known; text: why it refused */
    EVENT_USAGE,  /* usage, service_tier */
    EVENT_ERROR,  /* error: terminal */
    EVENT_PING,
    EVENT_END,
};

enum stop {
    STOP_END,
    STOP_SEQUENCE,
    STOP_LENGTH,
    STOP_CONTEXT,
    STOP_TOOL,
    STOP_REFUSAL,
    STOP_PAUSE
};

struct event {
    uint8_t kind;       /* enum event_kind */
    uint8_t block_kind; /* enum block_kind; of every event of a block */
    uint8_t stop;       /* enum stop */
    uint8_t origin;     /* enum api */
    bool is_custom, is_redacted;
    uint16_t choice;
    uint32_t block;
    struct jstr text, id, name, signature, stop_sequence, service_tier;
    uint64_t created; /* seconds since 1970; 0: not said */
    struct str raw;
    const struct usage *usage;
    const struct error_facts *error;
};

/* Bytes of a text that a reader keeps until it knows what it is. */
enum { READER_KEEPS = 8 * 1024 * 1024 };

typedef void (*event_fn)(void *ctx, const struct event *e);

/* What a reader of replies is given; everything is borrowed for its life. */
struct reader_env {
    event_fn
        emit; /* runs inside the reader's calls; the event and its texts live until it returns */
    void *ctx;
    struct bufpool *pool;
    struct arena
        *arena; /* for what lasts as long as the reply: a little a block, nothing a delta */
    struct reply_scan *scan; /* where it keeps what the meter needs: usage by reply_scan_usage(),
                                response_id, text_bytes, finished, failed */
    const struct neutral *request; /* what the upstream was asked (emulates_schema, renamed) */
    struct str secret;             /* for envelope_read() */
};

/*
 * What a writer of replies is given; everything is borrowed for its life. But what `request`
 * borrows from the client's body is gone once the upstream was sent all of it: what the writer will
 * need of that, it copies in writer_init().
 */
struct writer_env {
    struct jout *out; /* events of a stream, or the whole reply when END came */
    struct arena *arena;
    const struct neutral *request; /* as the client asked it: echoes, include_usage, names */
    struct str model;        /* what the client called the model, as a JSON string with quotes */
    uint64_t now_s;          /* created, where upstream did not say */
    uint64_t seed[2];        /* random: makes the ids of this reply */
    struct jstr response_id; /* Responses: the id the gateway gives it; empty: made from the seed */
    bool stream;
};

/*
 * An API: how its requests and replies are read and written. Pure: bytes in, bytes out; no clock,
 * sockets or globals. Each is one constant, chosen by dialect_of().
 */
struct dialect_ops {
    enum api api;

    /* Reads a body (complete tape, root an object) into *n, which is zeroed but for arena. */
    bool (*request_read)(struct neutral *n, const struct json_tape *t, struct fault *f);

    /* Writes the body for an upstream model to `o`. May fill n->renamed and n->emulates_schema. */
    bool (*request_write)(struct jout *o, struct neutral *n, const struct upstream_model *m,
                          struct fault *f);
    /* this one and the readers of replies are NULL where nothing is translated into this API */

    /* Replies. The state is `reader_size` zeroed bytes, initialised by reader_init. */
    size_t reader_size;
    void (*reader_init)(void *reader, const struct reader_env *env);
    /* One event of a stream: its name (empty: none given) and its data, read. */
    void (*read_event)(void *reader, struct str name, const struct json_tape *data);
    /* A whole reply. */
    void (*read_reply)(void *reader, const struct json_tape *reply);
    /* The stream is over: "[DONE]" came (`done`), or the upstream closed. Emits what is still due,
     * END included; false: the stream was cut, and the caller says so. */
    bool (*reader_end)(void *reader, bool done);
    void (*reader_deinit)(void *reader);

    size_t writer_size;
    void (*writer_init)(void *writer, const struct writer_env *env);
    void (*write)(void *writer, const struct event *e);
    void (*writer_deinit)(void *writer);
};

extern const struct dialect_ops openai_chat, openai_completions, anthropic_messages,
    openai_responses, anthropic_count_tokens, openai_input_tokens;

/* The ops of an API, or NULL: it is never translated. */
const struct dialect_ops *dialect_of(enum api api);
