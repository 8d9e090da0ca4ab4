#pragma once

/* Between the files of the family of keys: keys.c makes and deletes, keys_update.c and keys_bulk.c
 * change, keys_read.c shows; key_row.c makes rows, key_rules.c and key_project.c judge. */

#include "api/reply.h"
#include "store/key.h"

/* A key's row with what must be known to judge who may touch it. */
struct key_target {
    yyjson_mut_val *row;
    yyjson_mut_val *team; /* its team's row, or NULL */
    struct str hash;
};

/* ---- key_row.c: the parts of a row, from a request ---- */

struct str key_random(struct call *c);
void key_put_columns(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req, bool is_new);
/* Texts of moments, from durations; a key that never expires has none. */
void key_put_moments(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req);
/* allowed_routes of its key_type. */
void key_put_routes(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req);
/* What it is shown by. */
void key_put_name(struct call *c, yyjson_mut_val *row, struct str key);
/* The stored metadata, or what the request puts in its place, with the members that live there,
 * into `row` where it changes. False with an answer. */
bool key_put_metadata(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                      const yyjson_mut_val *stored);
/* All of it; NULL with an answer. */
yyjson_mut_val *key_new_row(struct call *c, const yyjson_mut_val *req, struct str key);

/* ---- keys.c ---- */

/* Makes a random key of a request that was judged, with its entry; its row, or NULL with an answer
 * or a fault. */
yyjson_mut_val *key_create(struct call *c, const yyjson_mut_val *req, struct str *ret_key);

/* Archives and deletes a row that was locked, with its entry. */
void key_remove(struct call *c, const yyjson_mut_val *row);

/* Who deletes, for the archive. */
struct key_deletion key_deletion(const struct call *c);

/* May delete or replace it: whoever runs its team, and its owner. */
bool key_may_modify(const struct call *c, const struct key_target *t);

/* A row as the answer to whoever made it: the key itself, once. */
void key_reply_generated(struct call *c, const yyjson_mut_val *row, struct str key,
                         const yyjson_mut_val *req);

/* ---- keys_update.c ---- */

/* May change it at all; budgets only those who run it. False with an answer. */
bool key_check_may_update(struct call *c, const yyjson_mut_val *req, const struct key_target *t);

/* Judges the request, changes the locked row and writes the entry; the row as it is then, or NULL
 * with an answer or a fault. */
yyjson_mut_val *key_change(struct call *c, yyjson_mut_val *req, struct key_target *t);

/* ---- key_rules.c: who may ----
 *
 * Those that return bool have answered when they return false. */

/* Fills team; the caller sees the key at all: their own, made by them, or of a team or organization
 * they belong to. Without an answer. */
bool key_is_visible(struct call *c, struct key_target *t);

/* Admin of everything, of its team, or of its team's organization. */
bool key_is_run(const struct call *c, const struct key_target *t);

static inline bool key_is_own(const struct call *c, const struct key_target *t)
{
    return rbac_is_self(&c->caller, row_text(t->row, "user_id"));
}

/* A team's member who is not its admin needs the team's permission for the route. */
bool key_check_member(struct call *c, const yyjson_mut_val *team, struct str route);

/* ---- key_rules.c: what a request may ask for ---- */

/* Whatever the caller: no negative numbers, known durations. */
bool key_check_values(struct call *c, const yyjson_mut_val *req);

/* litellm_settings.default_key_generate_params, upperbound_key_generate_params. */
void key_fill_defaults(struct call *c, yyjson_mut_val *req);
bool key_check_upper_bounds(struct call *c, yyjson_mut_val *req, bool fill);

/* Nobody grants more than they hold: models, budget, routes, reserved metadata. `team` NULL: a
 * personal key; `row` NULL: a new one. */
bool key_check_grant(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *row,
                     const yyjson_mut_val *team);

/* Of litellm_settings.key_generation_settings. */
bool key_check_may_generate(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *team,
                            struct str route);

/* Name's form, and that no other key than `except` has it. */
bool key_check_alias(struct call *c, struct str alias, struct str except);

/* A key of one's own choice. */
bool key_check_chosen(struct call *c, struct str key, bool is_new);

/* Guaranteed throughput: promises to siblings and this one fit the team and the organization. */
bool key_check_throughput(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *row,
                          const yyjson_mut_val *team);

/* The organization exists, and the caller may put keys into it. */
bool key_check_organization(struct call *c, struct str organization_id, const yyjson_mut_val *team);

/* ---- key_project.c ---- */

/* The project exists, is of the key's team and bounds the key. Another team's does not exist. */
bool key_check_project(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *row,
                       const yyjson_mut_val *team);

/* ---- shared by them ---- */

/* The row of a key named as people name it (the key or its hash), locked when `lock`. False with
 * 404 `missing` when there is none or the caller may not know of it. */
bool key_find(struct call *c, struct str name, bool lock, struct key_target *ret,
              const char *missing);
