#pragma once

/* Daily activity: whose, of which days, and what is known of the keys in it. */

#include "analytics/fold.h"
#include "analytics/range.h"
#include "api/report.h"
#include "store/daily.h"

/* What is known of requests without a key. */
#define ACTIVITY_NO_KEY                                                                            \
    "{\"key_alias\":\"Unattributed\",\"team_id\":null,\"user_id\":null,\"user_email\":null,"       \
    "\"key_exists\":false}"

/* What the request asks for, within what the caller may see; false with an answer, or a fault.
 * `is_bounded`: of RANGE_DAYS_MAX days at most. */
bool activity_scope(struct call *c, bool is_bounded, struct daily_scope *ret);

/* The name of the route's objects: "user", "team". */
struct str activity_kind_name(const struct call *c);

/* Looks up names and owners of the keys and objects in a fold. */
void activity_describe(struct call *c, struct fold *f, enum daily_kind kind);
