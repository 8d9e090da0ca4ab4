#pragma once

/* Users beyond their row: addresses, memberships, and what goes with them. */

#include "store/store.h"

/* No index keeps e-mail addresses apart: those who want the same one wait for each other until the
 * end of the transaction. */
void user_hold_email(struct store *s, struct str email);

/* The user of that address, whatever its case, locked; NULL: none. */
yyjson_mut_val *user_lock_email(struct store *s, struct str email);

/* Whether somebody but `except` (an id, or empty) has the address. */
bool user_email_is_taken(struct store *s, struct str email, struct str except);

/* How many organizations the user is a member of, and how many of those are among `orgs`. */
struct user_orgs {
    int64_t n, n_within;
};
struct user_orgs user_orgs(struct store *s, struct str user_id, const struct str *orgs, size_t n);

/* Rows of teams the user is in, by either side's account; at most USER_ROWS_MAX, by id. */
enum { USER_ROWS_MAX = 1000 };
yyjson_mut_val *user_teams(struct store *s, struct str user_id);
yyjson_mut_val *user_lock_teams(struct store *s, struct str user_id);

/* Rows of the user's keys, locked: dashboards' sessions among them. */
yyjson_mut_val *user_lock_keys(struct store *s, struct str user_id);

/* Removes memberships and invitations, which would hold the row. */
void user_detach(struct store *s, struct str user_id);
