#pragma once

/*
 * Responses kept by the gateway, for clients of the Responses API whose upstream speaks another
 * (shared/response_store.h): a conversation goes on from one, and GET, DELETE and input_items are
 * answered from it. Kept per pod; an id of another pod, another key or a response that made room is
 * not known.
 */

#include "common/jout.h"

#include "client/request.h"
#include "shared/response_store.h"

struct translate;

struct kept {   /* of one translated attempt */
    bool keeps; /* this response will be kept */
    struct response_id128 id;
    struct str client_id;      /* as clients see it; in the arena */
    struct buf earlier, items; /* the conversation it goes on from; what will be kept of this one */
    struct jout keep;
    struct kept_referred { /* the conversation the last item_reference led into */
        struct response_id128 owner;
        struct buf buf;
        struct str items, rest; /* of it; rest: behind the item found last */
        size_t work;
    } referred;
};

/* The id, as the upstream's part of what response_id_read() found, is of a kept response. */
bool kept_is_id(struct str upstream);

/*
 * Before the body is read for translation: finds the conversation it goes on from, and decides
 * whether the response will be kept. False: the client was refused.
 */
MUST_CHECK bool kept_begin(struct request *r, struct kept *k, struct translate *t);

/* The reply is complete and not yet all sent: keeps it, so that its id is good once it is seen. */
void kept_finish(struct request *r, struct kept *k, struct translate *t);

/* The request will not be sent again; and the end. Safe when zeroed. */
void kept_forget(struct request *r, struct kept *k);
void kept_end(struct request *r, struct kept *k);

/* Answers GET, DELETE, cancel and input_items of a kept response; `upstream` names it. */
void kept_item(struct request *r, struct str upstream);
