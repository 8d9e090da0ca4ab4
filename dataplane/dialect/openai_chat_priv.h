#pragma once

/* What the files of the chat dialect, and of completions beside it, share. */

#include "dialect/event.h"
#include "dialect/wrapped.h"

enum { CHAT_CALL_ID_MAX = 40, CHAT_TOOL_NAME_MAX = 64 };

/* --- requests, read ------------------------------------------------------------------------------
 */

struct reading {
    struct neutral *n;
    const struct json_tape *t;
    struct fault *f;
    uint32_t message, part;  /* where it is, for faults */
    struct turn *turn;       /* blocks go there ... */
    struct block *result;    /* ... or into this */
    struct block *calls;     /* the first of the assistant's last turn */
    bool has_custom;         /* one of them is of a tool that takes free text */
    bool in_results;         /* `turn` gathers a run of tool messages */
    struct jstr function_id; /* of the last function_call */
};

/* What a value of the body, a message or a part becomes; false: r->f says why not. */
typedef bool (*chat_read_fn)(struct reading *r, const struct json_val *v);

struct chat_row {
    struct str name;
    chat_read_fn read;
};

/* What is read of the row called as the string `name` means, or NULL. */
chat_read_fn chat_row(const struct reading *r, const struct chat_row *rows, size_t n,
                      const struct json_val *name);

/* The members of the body that are not null by `rows`, then as parameters, else as extras. */
bool chat_read_body(struct reading *r, const struct chat_row *rows, size_t n);

bool chat_read_messages(struct reading *r, const struct json_val *v);
void chat_add_text(struct reading *r, enum block_kind kind, struct jstr text);

/* What chat and completions have in common. */
bool chat_read_nothing(struct reading *r, const struct json_val *v);
bool chat_read_stream(struct reading *r, const struct json_val *v);
bool chat_read_stream_options(struct reading *r, const struct json_val *v);
bool chat_read_max_tokens(struct reading *r, const struct json_val *v);
bool chat_read_stop(struct reading *r, const struct json_val *v);
bool chat_read_user(struct reading *r, const struct json_val *v);
bool chat_read_safety_identifier(struct reading *r, const struct json_val *v);
bool chat_read_service_tier(struct reading *r, const struct json_val *v);

/* clang-format off */
#define CHAT_COMMON_ROWS                                                                           \
    {STR_INIT("model"), chat_read_nothing},                                                        \
    {STR_INIT("stream"), chat_read_stream},                                                        \
    {STR_INIT("stream_options"), chat_read_stream_options},                                        \
    {STR_INIT("max_tokens"), chat_read_max_tokens},                                                \
    {STR_INIT("stop"), chat_read_stop},                                                            \
    {STR_INIT("user"), chat_read_user},                                                            \
    {STR_INIT("safety_identifier"), chat_read_safety_identifier},                                  \
    {STR_INIT("service_tier"), chat_read_service_tier}
/* clang-format on */

#define BAD(r, ...) fault_set((r)->f, (r)->n->arena, ERROR_BAD_FIELD, __VA_ARGS__)

static inline struct jstr text_of(const struct reading *r, const struct json_val *v)
{
    return json_text(r->t, v);
}

/* Declares found[]: the members of `obj` with the names that follow, each NAME("..."). */
#define MEMBERS(tape, obj, found, ...)                                                             \
    static const struct str found##_names[] = {__VA_ARGS__};                                       \
    const struct json_val *found[ARRAY_LEN(found##_names)];                                        \
    json_members(tape, obj, found##_names, ARRAY_LEN(found##_names), found)
#define NAME(lit) STR_INIT(lit)

bool chat_request_read(struct neutral *n, const struct json_tape *t, struct fault *f);
bool chat_missing(struct reading *r, const char *member); /* always false */

/* --- requests, written ---------------------------------------------------------------------------
 */

struct writing {
    struct jout *o;
    struct neutral *n;
    const struct upstream_model *m;
    struct fault *f;
    bool keeps_marks; /* the upstream takes cache_control */
    bool any;         /* a message was written: the next one wants a comma */
    bool leading;     /* nothing but system messages so far */
};

static inline bool can(const struct writing *w, enum capability c)
{
    return w->m->can & (uint32_t)c;
}

/* The messages, from the bracket on. */
bool chat_write_messages(struct writing *w);
void chat_put_mark(struct writing *w, struct str cache);

bool chat_request_write(struct jout *o, struct neutral *n, const struct upstream_model *m,
                        struct fault *f);
struct str chat_param_name(enum param p);
/* A chat body has a member of that name. */
bool chat_is_member(struct jstr key);

/* --- replies -------------------------------------------------------------------------------------
 */

/* What every chunk, or the reply, begins with, up to the bracket of its choices; in the arena. An
 * upstream's id that looks like one of ours stays, else the seed makes one. */
struct str chat_head(const struct writer_env *env, const struct event *start, struct str id_prefix,
                     struct str object);

/* What is known when the choices have been said. */
struct chat_tail {
    struct usage usage;
    bool has_usage;
    uint8_t tier_n;
    char tier[24];
};

void chat_tail_read(struct chat_tail *t, const struct event *e);
/* ,"usage":{...},"service_tier":"..." as far as it is known. */
void chat_tail_put(struct jout *o, const struct chat_tail *t);
/* The events that end a stream: usage, where it was asked for, and the mark. */
void chat_put_end(struct jout *o, struct str head, const struct chat_tail *t, bool include_usage);
/* An error that ends a stream, as clients of `api` see it. */
void chat_put_error(struct jout *o, struct arena *a, enum api api, const struct error_facts *f);
struct str chat_finish_reason(enum stop stop);
