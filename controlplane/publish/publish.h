#pragma once

/*
 * What was committed goes to the data planes, and the answer of a change waits for them a moment: a
 * key works once its creator holds it. The database connection is given back before.
 */

#include "api/call.h"

/*
 * On the loop, with the answer of a committed change ready. True: somebody else will answer, by
 * daemon_answer(), once the connected data planes have acknowledged it or a short bound is over.
 * False: answer now. With data planes x-weir-applied: N/M stands in the answer.
 */
bool publish_park(struct daemon *d, struct call *c);
