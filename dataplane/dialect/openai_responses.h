#pragma once

/*
 * What the Responses API has that others do not: responses that are kept, and go on from each
 * other. Where the upstream keeps none, the gateway does; shared/response_store.h says how its
 * client layer does it with these. A conversation that is kept is a JSON list of items, each with
 * an id, as GET .../input_items shows them.
 */

#include "dialect/event.h"

/* Bytes of a reply: its end writes all of its texts four times. */
enum { RESPONSES_REPLY_MAX = 4 * 1024 * 1024 };

/*
 * Reads the items of an earlier conversation (root: a list) into *n, which is zeroed but for arena
 * and from, before request_read(). Their text must live as long as that of the request.
 */
bool responses_history_read(struct neutral *n, const struct json_tape *items, struct fault *f);

/*
 * Begins a conversation to be kept: the earlier one's items (a list; may be empty) and those of the
 * request (root of `body`). Items without an id get one made of `id`, the response's. Without its
 * end, which responses_keep_output() writes behind the items the writer wrote.
 */
void responses_keep_input(struct jout *o, struct str earlier, const struct json_tape *body,
                          const uint64_t id[2]);
void responses_keep_output(const void *writer, struct jout *o);

/*
 * item_reference: the ids of items that are kept tell whose they are.
 *
 * responses_item_owner(): the response an item's id was made of; false: it was not made here.
 * responses_item_find(): the item of a kept conversation by such an id; borrows from it.
 * responses_resolve(): `body` with its references replaced by what `find` gives for their ids
 * (until its next call); those it has nothing for stay.
 */
bool responses_item_owner(struct jstr item_id, uint64_t ret[2]);
bool responses_item_find(struct str items, struct jstr id, struct str *ret);
typedef bool (*responses_find_fn)(void *ctx, struct jstr id, struct str *ret);
bool responses_has_references(const struct json_tape *body);
void responses_resolve(struct jout *o, const struct json_tape *body, responses_find_fn find,
                       void *ctx);

/* The final Response object of a writer that got END, once more. */
void responses_put(void *writer, struct jout *o);

/* The query of GET /responses/{id}/input_items. */
struct responses_page {
    uint32_t limit;   /* 0: 20; at most 100 */
    bool ascending;   /* order=asc */
    struct str after; /* id; empty: from the first */
};

/*
 * The page of a kept conversation (root of `items`), of what stands in the first n_input bytes of
 * its text. False: `after` is no item of it.
 */
bool responses_items_page(struct jout *o, const struct json_tape *items, size_t n_input,
                          const struct responses_page *page);
