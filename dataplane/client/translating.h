#pragma once

/*
 * An attempt whose upstream speaks another API than the client: the body written anew, the reply
 * read and written anew (dialect/translate.h). What the rest of client/ asks of it.
 */

#include "client/kept.h"
#include "client/request.h"
#include "dialect/translate.h"

struct translation {
    struct translate t;
    struct buf client_body;   /* the client's with the edits of its API, where there are any */
    struct buf upstream_body; /* written; with holes, which are in t's jout */
    struct jout out;
    struct request_scan scan; /* of upstream_body */
    struct kept kept;
};

/*
 * The upstream's body for r->deployment and r->upstream_api, as *b. False when there is none: the
 * client has its answer then.
 */
MUST_CHECK bool translating_request(struct request *r, struct body_edit *b);

/* A reply begins: to the request of translating_request(), or (there was none) one in the client's
 * own API that is whole where events were asked for. False when memory ended. */
MUST_CHECK bool translating_reply_begin(struct request *r);

/* What was read of the reply so far makes it complete for the client, and is not sent yet. */
void translating_done(struct request *r);

/* The request will not be sent again. */
void translating_forget(struct request *r);

/* Ends what an attempt holds. Safe when nothing is. */
void translating_end(struct request *r);
