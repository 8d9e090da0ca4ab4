#pragma once

/*
 * What the Responses API has that others do not: responses that are kept, and go on from each
 * other. Where the upstream keeps none, the gateway does; shared/response_store.h says how its
 * client layer does it with these. A conversation that is kept is a JSON list of items, each with
 * an id, as GET .../input_items shows them.
 */

#include "dialect/event.h"

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
