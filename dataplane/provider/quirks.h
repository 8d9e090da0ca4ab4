#pragma once

/* The clauses of a provider's row (providers.def) compiled for one model. */

#include "common/arena.h"
#include "common/err.h"

#include "provider/edit.h"

/* A list of edits growing in an arena; zeroed and with its arena set it is empty. */
struct edits {
    struct arena *arena;
    struct edit *v;
    size_t n, cap;
};

void edits_add(struct edits *l, struct edit edit); /* overflow sticks in the arena */

enum { QUIRK_HEADERS = 4 };

struct quirks {
    struct edits edits;
    struct str hook;            /* name of a row of hooks.c, or empty */
    struct str path[API_COUNT]; /* path: of one API, or empty */
    struct str base_suffix;     /* ending a configured base must have, or empty */
    struct {
        struct str name, sources; /* '|'-separated: $VARIABLE, $key, $organization */
    } header[QUIRK_HEADERS];
    size_t n_headers;
    bool keeps_developer;              /* the role */
    bool keeps_cache_control;          /* for every model, or for the known one */
    struct str keeps_cache_control_of; /* globs, where the model is not known yet */
    bool takes_stream_options;
};

/*
 * Compiles `clauses`. `model` is the upstream name whose rules hold; where it has a '*' conditions
 * on it are kept in the edits. Strings borrow from `clauses` or lie in the arena of q->edits, which
 * the caller has set. ERRC_INVALID names a clause that is none: a mistake in the table.
 */
MUST_CHECK enum errc quirks_compile(struct quirks *q, struct str clauses, struct str model,
                                    struct err *e);

/* What every OpenAI-shaped upstream needs besides its row (providers.md 2.1, last paragraph). */
void quirks_add_defaults(struct quirks *q);

/* litellm_params: what is allowed in spite of the row, then what is dropped in any case. */
void quirks_allow(struct quirks *q, const struct str *params, size_t n);
MUST_CHECK enum errc quirks_drop(struct quirks *q, const struct str *params, size_t n,
                                 struct err *e);

/* The next clause of *clauses, which moves on, as verb and rest; false at the end. */
bool quirks_next(struct str *clauses, struct str *ret_verb, struct str *ret_args);
