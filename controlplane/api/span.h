#pragma once

/* Days from ... to of a request. */

#include "api/call.h"

struct span {
    struct str from, to; /* "2026-01-31", both included */
};

/* Members from and to; absent: `days` before today, and today. False with an answer for what is no
 * day. */
MUST_CHECK bool span_read(struct call *c, struct span *ret, int32_t days);
