#pragma once

/* Requests of the management API, passed on to the control plane (weir.forward_admin). */

#include "client/request.h"

enum {
    FORWARD_BODY_MAX = 1024 * 1024, /* of a request */
    FORWARDS_MAX = 64,              /* of a worker at a time */
};

/* The request is whole: sends it on and answers with what comes back, in its own time. */
void forward_start(struct request *r);

/* The request ends. */
void forward_end(struct request *r);
