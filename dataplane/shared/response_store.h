#pragma once

/*
 * run_dir/responses: the responses the gateway keeps for upstreams that keep none. One MAP_SHARED
 * file with a region per worker slot (shared/region.h): its worker writes it, every worker reads
 * all. Pages are touched only when used, and backed before, so that a full file system is an answer
 * and no signal.
 *
 *   region   index: positions by id | entries in a ring, the oldest overwritten first
 *   entry    id, tenant, expiry; the items of the conversation up to and with the response, a JSON
 *            list; the Response object
 *
 * A reader copies an entry and then asks whether it was overwritten meanwhile; a checksum guards
 * what a killed worker left. Deleting sets one word of the entry, which any worker may.
 *
 * How the client layer uses it, cx->responses being the mapping and cx->region_index the own
 * region; ids as clients see them are response_id_make()'s, the upstream's part being
 * response_store_id()'s:
 *
 *   previous_response_id that is one
 *       response_store_get() into a buffer that lives until the request was sent; none: 404,
 *       ERROR_NO_SUCH_RESPONSE; else t->history = record.items before translate_read()
 *   store is not false, the upstream has another API, the store is on
 *       t->keep = a jout on a buffer of the request's, t->keep_id, before translate_read(); its
 *       length behind it is n_input; translate_reply.response_id is the new id's text,
 *       .seed the id itself
 *   else
 *       t->request.echo[ECHO_STORE] = STR("false") before translate_reply_begin()
 *   item_reference
 *       t->find_item: responses_item_owner(), response_store_get(), responses_item_find()
 *   t->done, and kept
 *       translate_keep(t, another jout), then response_store_put()
 *   GET, DELETE, GET .../input_items
 *       response_store_get(), response_store_delete(), responses_items_page()
 *
 * Pure over a mapping but for making and mapping the file, and for backing pages.
 */

#include "common/bufpool.h"
#include "common/err.h"

enum {
    RESPONSE_STORE_VERSION = 1,
    RESPONSE_TENANT = 32,                 /* bytes that tell one owner from another */
    RESPONSE_TTL_S = 30 * 24 * 3600,      /* kept at most; less where room ends */
    RESPONSE_ENTRY_MAX = 8 * 1024 * 1024, /* of one: copied in one go; */
    RESPONSE_ENTRY_PART = 4,              /* and no more than this part of a region */
    RESPONSE_REGION_MAX_MB = 256,         /* what a region may be set to */
    RESPONSE_ID_TEXT = sizeof "weir_" - 1 + 32,
};

struct response_store {
    unsigned char *base; /* NULL: none mapped */
    size_t size;
    unsigned regions;
    int fd; /* borrowed; to back pages with */
};

struct response_id128 {
    uint64_t v[2];
};

/*
 * Makes or opens `path` (0600) with `regions` regions. What another manager left is kept and grown
 * where it is smaller; one of another layout is replaced. *ret_fd is the caller's. Manager.
 */
MUST_CHECK enum errc response_store_make(const char *path, unsigned regions, int *ret_fd,
                                         struct err *e);

/* Maps the inherited descriptor, which it goes on using. Worker. */
MUST_CHECK enum errc response_store_map(struct response_store *s, int fd, struct err *e);

void response_store_unmap(struct response_store *s);

/* What the region may hold, in bytes; 0: nothing is kept. A change drops what it holds. The
 * region's worker, when it adopts a generation. */
void response_store_resize(struct response_store *s, unsigned region, uint64_t bytes);

/* "weir_" + 32 digits, in `out` (RESPONSE_ID_TEXT); and back: false, it is none. */
struct str response_store_id(char *out, struct response_id128 id);
MUST_CHECK bool response_store_id_read(struct response_id128 *ret, struct str text);

struct response_record {
    struct str items;    /* a JSON list: what the model was given, then what it answered */
    uint32_t n_input;    /* bytes of it before the answer */
    struct str response; /* the Response object */
};

/*
 * Keeps a response in `region` (the caller's own) for RESPONSE_TTL_S from `now_s` on. False: it is
 * too large, the region is off, or there is no memory for it: a later look-up says there is none.
 */
bool response_store_put(struct response_store *s, unsigned region, struct response_id128 id,
                        const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s,
                        const struct response_record *record);

/*
 * Copies the response into `buf` (appended; *ret borrows from it). False: there is none of that id
 * and tenant, it was deleted, expired or overwritten, or memory ended.
 */
MUST_CHECK bool response_store_get(const struct response_store *s, struct response_id128 id,
                                   const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s,
                                   struct bufpool *pool, struct buf *buf,
                                   struct response_record *ret);

/* From now on nobody finds it. False as above. */
MUST_CHECK bool response_store_delete(struct response_store *s, struct response_id128 id,
                                      const unsigned char tenant[RESPONSE_TENANT], uint64_t now_s);
