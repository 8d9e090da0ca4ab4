#pragma once

/*
 * Limits in requests, judged and put into rows: budgets, their periods and windows, throughput.
 * Those that return bool have answered when they return false.
 */

#include "api/reply.h"

/* A member is no negative number. */
bool check_not_negative(struct call *c, const yyjson_mut_val *req, const char *name);

bool limit_check_duration(struct call *c, const yyjson_mut_val *req, const char *name);
/* The same of a budget's period, as routes other than /key word it: longer than nothing. */
bool limit_check_period(struct call *c, const yyjson_mut_val *req, const char *name);
bool limit_check_windows(struct call *c, const yyjson_mut_val *req);

/* Members that are a budget's: none negative, the period known, models' budgets among them. */
bool budget_check(struct call *c, const yyjson_mut_val *req);

/* Members of metadata that have a meaning only an admin may give them; those `stored` says alike
 * stay. */
bool limit_check_metadata(struct call *c, const yyjson_mut_val *req, const yyjson_mut_val *stored);

/* When a budget of that duration begins anew after now; empty: never. */
struct str limit_next_reset(struct call *c, struct str duration);

/* budget_duration, and the moment its period ends; null: none. */
void limit_put_period(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req);
/* budget_limits: each window with the moment it begins anew; an empty list is none. */
void limit_put_windows(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req);
