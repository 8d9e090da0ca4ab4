#pragma once

/* Teams beyond their row: whose teams a user is in, memberships, what goes with a team. */

#include "store/store.h"

/* Who deleted it, for the archive. */
struct team_deletion {
    struct str by, by_key_hash, changed_by;
};
void team_archive(struct store *s, const yyjson_mut_val *row, const struct team_deletion *who);

/* The team among a user's teams; at most once. */
void team_add_to_user(struct store *s, struct str team_id, struct str user_id);
/* Gives how many users had it; `user_id` NULL text: all. */
int64_t team_take_from_users(struct store *s, struct str team_id, struct str user_id);

/* The membership's row; NULL: none. */
yyjson_mut_val *team_membership(struct store *s, struct str team_id, struct str user_id);
/* Makes it, or leaves it as it is; gives it. */
yyjson_mut_val *team_join(struct store *s, struct str team_id, struct str user_id,
                          struct str budget_id);
/* Makes it, or points it at another budget; a NULL text: at none. */
void team_set_member_budget(struct store *s, struct str team_id, struct str user_id,
                            struct str budget_id);
/* Memberships without a budget get this one. */
void team_fill_member_budgets(struct store *s, struct str team_id, struct str budget_id);
/* `user_id` NULL text: everybody's. */
void team_leave(struct store *s, struct str team_id, struct str user_id);

/* Access groups list the teams that name them. */
void team_sync_access_groups(struct store *s, struct str team_id);

/* Rows with e-mail address `email`, whatever its case; two at most. */
yyjson_mut_val *users_with_email(struct store *s, struct str email);
