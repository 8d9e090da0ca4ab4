#pragma once

/* Parts that objects of several families have: a budget of their own, an object permission, orders
 * of lists. */

#include "api/limits.h"

/* Members that are a budget's and were sent, as columns of a budget's row, with the moment its
 * spend begins anew; NULL without any. Nulls are left out unless `clears`. */
yyjson_mut_val *budget_values(struct call *c, const yyjson_mut_val *req, bool clears);

/* Makes a row of `values` (from budget_values(), or empty) with an entry; its id, or p NULL. */
struct str budget_create(struct call *c, const yyjson_mut_val *values);

/* Changes a row with an entry. */
void budget_change(struct call *c, struct str id, const yyjson_mut_val *values);

/* The request's object_permission becomes a row of its own, or changes that of id `existing`; its
 * id goes into `row`. */
void object_permission_put(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                           struct str existing);

/* A copy of the row with litellm_budget_table and object_permission beside their ids. */
yyjson_mut_val *row_with_parts(struct call *c, const yyjson_mut_val *row);

/* Copies members that were sent and are not null. */
void row_take(struct store *s, yyjson_mut_val *row, const yyjson_mut_val *req,
              const char *const *names, size_t n);

/* Texts of an array, in the arena. */
struct str *row_texts(struct call *c, const yyjson_mut_val *list, size_t *ret_n);

/* The order of a list by sort_by and sort_order: a constant of `rows`, `dflt` where none was asked
 * for, NULL with an answer for what is not offered. */
struct sort_column {
    const char *name, *asc, *desc;
};
const char *sort_order(struct call *c, const struct sort_column *rows, size_t n, const char *dflt);

/* 422 for a value of the right type that cannot be; `name` NULL: the body as a whole. */
void refuse_value(struct call *c, const char *name, const char *text);
