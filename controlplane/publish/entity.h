#pragma once

/*
 * A row as an entity (proto/weir.proto), by the table publish/entities.def. Pure: texts of the
 * database in, messages and their packed form out.
 */

#include "common/arena.h"
#include "common/gateway/seal.h"
#include "proto/weir.pb-c.h"

enum entity_kind {
#define ENTITY(kind, table, struct_, member, from, key1, key2, filter) ENTITY_##kind,
#include "publish/entities.def"
    ENTITY_KINDS,
};

enum cell_type {
    CELL_BYTES,
    CELL_STRING,
    CELL_HASH,            /* 64 hex digits */
    CELL_TEXTS,           /* text[] */
    CELL_ALIASES,         /* JSON: name to model */
    CELL_BOOL,            /* boolean */
    CELL_TIME,            /* timestamp */
    CELL_MONEY,           /* dollars */
    CELL_BOUND,           /* a limit, where there is one */
    CELL_BOUND_MONEY,     /* ... in dollars */
    CELL_OPENED,          /* JSON, each text of it sealed by itself */
    CELL_METADATA,        /* JSON, without what the next two take out of it */
    CELL_METADATA_TAGS,   /* ... its tags */
    CELL_METADATA_LIMITS, /* ... its limits by model, and its temporary budget */
    CELL_MODEL_BUDGETS,   /* JSON: limits by model */
    CELL_BUDGET_WINDOWS,  /* JSON: budgets over everything */
    CELL_MODEL_RPMS,      /* JSON: model to requests a minute */
    CELL_MODEL_TPMS,      /* JSON: model to tokens a minute */
};

struct cell {
    enum entity_kind kind;
    bool in_limits; /* a member of Limits */
    enum cell_type type;
    size_t at; /* offset of the member */
    const char *expression;
};

/* The rows of FIELD and LIMIT, those of a kind together: *ret_n of them. */
const struct cell *entity_cells(enum entity_kind k, size_t *ret_n);

/*
 * The entity of a row. texts[i] is what the database has for cell i of the kind, p NULL for NULL;
 * the message borrows from them, the rest lies in the arena. NULL: it is none (a key without a
 * hash), or without memory.
 */
const Weir__Entity *entity_read(enum entity_kind k, const struct str *texts,
                                const struct seal_key *seal, struct arena *a);

/* What it spent: `spend` in dollars, `reset` in microseconds or empty. False as above. */
bool entity_total(Weir__Total *ret, enum entity_kind k, struct str key1, struct str key2,
                  struct str spend, struct str reset, struct arena *a);

/* That the one of this key is gone; NULL as above. */
const Weir__Entity *entity_gone(enum entity_kind k, struct str key1, struct str key2,
                                struct arena *a);

/* ---- packed: as many Changes.entities as there are, each with tag and length ---- */

struct packed { /* zeroed: empty */
    char *p;
    size_t n, cap, count;
    bool failed; /* no memory: it is incomplete */
};

void packed_entity(struct packed *p, const Weir__Entity *en);
/* The same of Changes.totals. */
void packed_total(struct packed *p, const Weir__Total *t);
void packed_deinit(struct packed *p);

/* A number as protobuf writes it, at most 10 bytes; how many. */
size_t varint_put(char *out, uint64_t v);

/* Bytes of the entity, with tag and length, that starts at `s`. */
size_t packed_step(struct str s);
