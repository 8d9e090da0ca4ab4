#pragma once

/* Keys beyond their row: names, archive, grace, and what siblings have been promised. */

#include "store/store.h"

/* Another key than `except` (a hash, or empty) has the name. */
bool key_alias_is_taken(struct store *s, struct str alias, struct str except);

struct key_deletion { /* who did it, for the archive */
    struct str by, by_key_hash, changed_by;
};

/* A copy of the row among the deleted. */
void key_archive(struct store *s, const yyjson_mut_val *row, const struct key_deletion *who);

/* The old key goes on working under its hash until `revoke_at_us`. */
void key_deprecate(struct store *s, struct str old_hash, struct str new_hash, int64_t revoke_at_us);

/* Sums of rpm and tpm limits of a team's or organization's keys but `except`. */
struct key_promise {
    int64_t rpm, tpm;
};
struct key_promise key_promised_in_team(struct store *s, struct str team_id, struct str except);
struct key_promise key_promised_in_org(struct store *s, struct str organization_id,
                                       struct str except);

/* An array of the rows of keys by hash, locked; those not there are left out. */
yyjson_mut_val *key_lock_all(struct store *s, const struct str *hashes, size_t n);

/* Their hashes by name. */
yyjson_mut_val *key_lock_named(struct store *s, const struct str *aliases, size_t n);

/* The newest among the deleted of that hash, or NULL. */
yyjson_mut_val *key_deleted(struct store *s, struct str hash);
