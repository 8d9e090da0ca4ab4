#pragma once

/*
 * A JSON document read into a flat list of its values in the order they are written: the tree
 * without pointers. Values are spans of the text, which stays the caller's and must not move while
 * they are used. Strict (RFC 8259), iterative, bounded: JSON_TAPE_DEPTH levels, JSON_TAPE_VALUES
 * values, which also bounds how long a document keeps the loop, and JSON_TAPE_LONE halves of
 * surrogate pairs, of which a text that was cut has one.
 */

#include "common/bufpool.h"
#include "common/json_scan.h"
#include "common/jstr.h"

enum { JSON_TAPE_BYTES = (1 << 28) - 1 }; /* of a document */
enum { JSON_TAPE_DEPTH = 128, JSON_TAPE_VALUES = 128 * 1024, JSON_TAPE_LONE = 64 * 1024 };

struct json_val {
    uint32_t at;          /* in the text: of a string its inside, of anything else all of it */
    uint32_t n : 28;      /* bytes of that */
    uint32_t type : 3;    /* enum json_type */
    uint32_t escaped : 1; /* a string with escapes */
    uint32_t next;        /* index of the value behind this one and all that is in it */
};

enum json_tape_state {
    JSON_TAPE_DONE,
    JSON_TAPE_BAD,
    JSON_TAPE_DEEP,
    JSON_TAPE_LIMIT,
    JSON_TAPE_BROKEN
};

struct json_tape {
    const char *text;
    struct json_val *v; /* v[0] is the document; an object's members are key, value, key, value */
    uint32_t n;
    uint32_t n_lone;            /* escapes that are half a pair of surrogates: jstr_mend() ... */
    uint32_t lone_at, lone_end; /* ... of what is between, where there are some */
    /* private */
    size_t pos, end;
    struct bufpool *pool;
    struct buf mem;
    uint8_t state;
    unsigned depth;
    uint32_t open[JSON_TAPE_DEPTH];
};

/* `pool` is borrowed for the life of the tape; allocates nothing yet. Safe to deinit when zeroed.
 */
void json_tape_init(struct json_tape *t, struct bufpool *pool);
void json_tape_deinit(struct json_tape *t);

/* Reads a document; keeps the memory of the one before. LIMIT: too many values or bytes, or no
 * memory. BROKEN: too many lone surrogates. */
enum json_tape_state json_tape_read(struct json_tape *t, const char *p, size_t n);

static inline const struct json_val *json_root(const struct json_tape *t)
{
    return t->v;
}

/* k: each key of object `obj`, v: its value. */
#define JSON_MEMBERS(t, obj, k, val)                                                               \
    for (const struct json_val *k = (obj) + 1, *val = k + 1; k < (t)->v + (obj)->next;             \
         k = (t)->v + val->next, val = k + 1)
#define JSON_ELEMENTS(t, arr, val)                                                                 \
    for (const struct json_val *val = (arr) + 1; val < (t)->v + (arr)->next;                       \
         val = (t)->v + val->next)

/* A string's inside; empty for NULL and what is no string. */
static inline struct jstr json_text(const struct json_tape *t, const struct json_val *v)
{
    return v && v->type == JSON_STRING ? (struct jstr){t->text + v->at, v->n} : JSTR_NONE;
}

/* Any value as written, a string with its quotes; empty for NULL. */
static inline struct str json_raw(const struct json_tape *t, const struct json_val *v)
{
    bool quoted = v && v->type == JSON_STRING;

    return v ? (struct str){t->text + v->at - quoted, v->n + 2 * (size_t)quoted} : (struct str){0};
}

static inline bool json_has_type(const struct json_val *v, enum json_type type)
{
    return v && v->type == type;
}

/* The string means the literal. */
#define json_is(t, v, lit) (json_has_type(v, JSON_STRING) && jstr_is(json_text(t, v), STR(lit)))

/* The value of a member, or NULL: not there, null, or `obj` is no object. The last one of that
 * name. */
const struct json_val *json_get(const struct json_tape *t, const struct json_val *obj,
                                struct str key);
#define JSON_GET(t, obj, lit) json_get(t, obj, STR(lit))

/* Several at once: found[i] is what json_get() says of names[i]. */
void json_members(const struct json_tape *t, const struct json_val *obj, const struct str *names,
                  unsigned n, const struct json_val **ret_found);

/* A whole number of at least 0, "7" and 7.0 not included; false otherwise. */
bool json_u64(const struct json_tape *t, const struct json_val *v, uint64_t *ret);

static inline bool json_true(const struct json_val *v)
{
    return v && v->type == JSON_TRUE;
}
