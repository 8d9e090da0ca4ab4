#pragma once

/* Access groups: objects that keys, teams and agents hold by id. Both sides keep the other's ids.
 */

#include "store/store.h"

struct texts {
    const struct str *p;
    size_t n;
};

/* The texts of an array, borrowed from it; what is no text is left out. */
struct texts store_texts(struct store *s, const yyjson_mut_val *list);

/* Another group than `except` has the name. */
bool access_group_name_is_taken(struct store *s, struct str name, struct str except);

/* The newest first, a thousand at most. */
yyjson_mut_val *access_group_all(struct store *s);

/* The first of them that is no team; empty: all are. */
struct str access_group_unknown_team(struct store *s, struct texts teams);

/* Ids of the teams that have it: those of `stored` that exist, and those that name it. */
yyjson_mut_val *access_group_teams(struct store *s, struct str id, struct texts stored);

/* [{"id", "name"}] of ids, in their order; name null: there is none. */
enum named { NAMED_TEAMS, NAMED_KEYS, NAMED_AGENTS, NAMED_MCP_SERVERS };
yyjson_mut_val *access_group_names(struct store *s, enum named what, const yyjson_mut_val *ids);

/* From now on these teams have it, and no others; of keys, those of `was` lose it. */
void access_group_give_teams(struct store *s, struct str id, struct texts now);
void access_group_give_keys(struct store *s, struct str id, struct texts was, struct texts now);

/* Nobody has it any more. */
void access_group_detach(struct store *s, struct str id);
