#pragma once

/* weir.change and weir.revision: what changed, in revisions that all control planes of a database
 * share (store/migrations/0004_publish.sql). Faults stick in `tx`. */

#include "publish/hub.h"

/* The newest revision, made if something changed; a new epoch if `known` is above it. */
struct revision changes_advance(struct tx *tx, struct revision known);

struct changes {
    const struct changed *rows;
    size_t n;
    bool is_complete; /* false: forgotten meanwhile, or too many */
    bool has_tokens;  /* join tokens are among them */
};

/* What `to` has and `from`, of the same epoch, has not. */
struct changes changes_between(struct tx *tx, struct revision from, struct revision to);

/* Join tokens that are valid, the caller's; NULL with *ret_n 0: none. */
struct hub_token *changes_tokens(struct tx *tx, size_t *ret_n);

/* Forgets what is older than the newest revisions. */
void changes_prune(struct tx *tx);
