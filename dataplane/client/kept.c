#include "client/kept.h"

#include "common/http/url.h"

#include "client/conn.h"
#include "client/reply.h"
#include "client/translating.h"
#include "dialect/openai_responses.h"
#include "dialect/translate.h"
#include "policy/owner.h"

static_assert(sizeof(struct response_owner) == (size_t)RESPONSE_TENANT, "owners are its tenants");

static uint64_t now_s(struct request *r)
{
    return (uint64_t)(context_wall_us(r->cx, r->body_ns) / 1000000);
}

bool kept_is_id(struct str upstream)
{
    struct response_id128 id;

    return response_store_id_read(&id, upstream);
}

static bool get(struct request *r, struct response_id128 id, const struct response_owner *owner,
                struct buf *buf, struct response_record *ret)
{
    /* off, nothing is found in what workers before left either */
    return r->snapshot->h->settings.response_store_bytes &&
           response_store_get(&r->cx->responses, id, owner->is, now_s(r), &r->cx->bufs, buf, ret);
}

/* One that no id the client sent has a seal of: under whomever it may have some. */
static bool get_any(struct request *r, struct response_id128 id, struct buf *buf,
                    struct response_record *ret)
{
    struct response_owner claim[OWNER_CLAIMS];
    unsigned n = owner_claims(&r->caller, claim);

    for (unsigned i = 0; i < n; i++)
        if (get(r, id, &claim[i], buf, ret))
            return true;
    return false;
}

static bool find(struct request *r, struct str upstream, struct buf *buf,
                 struct response_record *ret)
{
    struct response_id128 id;

    return response_store_id_read(&id, upstream) && get(r, id, r->previous_owner, buf, ret);
}

/* The item an item_reference means; references to one response follow each other, in order. */
static bool find_item(void *ctx, struct jstr id, struct str *ret)
{
    enum { WORK_MAX = 2 * RESPONSE_ENTRY_MAX }; /* bytes got and searched for a request */
    struct request *r = ctx;
    struct kept_referred *k = &r->translation->kept.referred;
    struct response_record record;
    struct response_id128 owner;

    if (k->work > WORK_MAX || !responses_item_owner(id, owner.v))
        return false;
    if (!k->items.n || memcmp(&owner, &k->owner, sizeof owner) != 0) {
        k->buf.n = 0;
        k->items = k->rest = (struct str){0};
        if (!get_any(r, owner, &k->buf, &record))
            return false;
        k->owner = owner;
        k->items = k->rest = record.items;
        k->work += k->buf.n;
    }
    if (!responses_item_find(k->rest, id, ret)) {
        k->work += k->rest.n;
        k->rest = k->items;
        if (!responses_item_find(k->items, id, ret)) {
            k->work += k->items.n;
            return false;
        }
    }
    size_t used = (size_t)(ret->p + ret->n - k->rest.p);
    k->work += used;
    k->rest = str_from(k->rest, used);
    return true;
}

/* The id this response gets, when it will be kept. */
static void choose_id(struct request *r, struct kept *k)
{
    char *tag = arena_alloc(&r->arena, RESPONSE_ID_TEXT_MAX);
    char *out = arena_alloc(&r->arena, RESPONSE_ID_MAX);
    char upstream[RESPONSE_ID_TEXT];
    struct response_owner owner = owner_of(&r->caller);

    if (!tag || !out)
        return;
    k->id = (struct response_id128){{context_random(r->cx), context_random(r->cx)}};
    size_t n =
        response_id_make(out,
                         response_id_tag(tag, snap_str(r->snapshot, r->deployment->provider),
                                         snap_str(r->snapshot, r->deployment->id)),
                         response_store_id(upstream, k->id),
                         snap_str(r->snapshot, r->snapshot->h->settings.response_key), &owner);
    k->client_id = (struct str){out, n};
    k->keeps = n != 0;
}

bool kept_begin(struct request *r, struct kept *k, struct translate *t)
{
    const struct member *store = request_member(&r->scan, FIELD_STORE);
    const struct member *previous = request_member(&r->scan, FIELD_PREVIOUS_RESPONSE_ID);
    uint64_t room = r->snapshot->h->settings.response_store_bytes / RESPONSE_ENTRY_PART;
    struct response_record record;

    if (request_api(r) != API_RESPONSES)
        return true;
    t->find_item = find_item;
    t->find_ctx = r;
    if (previous && previous->type != JSON_NULL) {
        if (!find(r, r->previous_id, &k->earlier, &record)) {
            request_refuse(r, ERROR_NO_SUCH_RESPONSE, (struct str){0}, false);
            return false;
        }
        t->history = record.items;
    }
    /* what will not find room there is not copied */
    if (r->conn->body.n + t->history.n < MIN(room, (uint64_t)RESPONSE_ENTRY_MAX) &&
        !(store && store->type == JSON_FALSE))
        choose_id(r, k);
    if (!k->keeps)
        return true;
    k->keep = jout_init(&r->cx->bufs, &k->items);
    t->keep = &k->keep;
    t->keep_id[0] = k->id.v[0];
    t->keep_id[1] = k->id.v[1];
    return true;
}

void kept_finish(struct request *r, struct kept *k, struct translate *t)
{
    struct buf response = {0};
    struct jout out = jout_init(&r->cx->bufs, &response);
    size_t n_input = k->items.n;

    if (!k->keeps)
        return;
    k->keeps = false; /* once */
    translate_keep(t, &out);
    struct response_owner owner = owner_of(&r->caller);
    struct response_record record = {
        .items = {k->items.p, k->items.n},
        .n_input = (uint32_t)n_input,
        .response = {response.p, response.n},
    };
    if (!out.failed && !k->keep.failed)
        (void)response_store_put(&r->cx->responses, r->cx->region_index, k->id, owner.is, now_s(r),
                                 &record); /* else a later look-up says there is none */
    buf_free(&r->cx->bufs, &response);
    buf_free(&r->cx->bufs, &k->items);
}

void kept_forget(struct request *r, struct kept *k)
{
    buf_free(&r->cx->bufs, &k->earlier);
    buf_free(&r->cx->bufs, &k->referred.buf);
    k->referred = (struct kept_referred){0};
}

void kept_end(struct request *r, struct kept *k)
{
    kept_forget(r, k);
    buf_free(&r->cx->bufs, &k->items);
    k->keeps = false;
}

/* --- GET, DELETE
 * ---------------------------------------------------------------------------------- */

static bool read_page(struct request *r, struct responses_page *page)
{
    struct str limit = query_get(r->query, STR("limit")), order = query_get(r->query, STR("order"));

    *page = (struct responses_page){
        .ascending = str_eq(order, STR("asc")),
        .after = query_get(r->query, STR("after")),
    };
    return !limit.n || (num_u32(limit, &page->limit) && page->limit >= 1 && page->limit <= 100);
}

/* The input items of a kept response, a page of them. */
static void answer_items(struct request *r, const struct response_record *record)
{
    struct bufpool *bufs = &r->cx->bufs;
    struct responses_page page;
    struct json_tape tape;
    struct buf text = {0};
    struct jout out = jout_init(bufs, &text);

    json_tape_init(&tape, bufs);
    if (!read_page(r, &page))
        request_refuse(r, ERROR_BAD_FIELD, STR("limit"), false);
    else if (json_tape_read(&tape, record->items.p, record->items.n) != JSON_TAPE_DONE)
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
    else if (!responses_items_page(&out, &tape, record->n_input, &page))
        request_refuse(r, ERROR_BAD_FIELD, STR("after"), false);
    else if (out.failed)
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
    else
        reply_json(r, 200, (struct str){text.p, text.n});
    json_tape_deinit(&tape);
    buf_free(bufs, &text);
}

static void answer_deleted(struct request *r)
{
    struct jw w = jw_init(&r->arena);

    jw_obj(&w);
    jw_key(&w, STR("id"));
    jw_put_str(&w, r->placeholder);
    jw_key(&w, STR("object"));
    jw_put_str(&w, STR("response"));
    jw_key(&w, STR("deleted"));
    jw_put_bool(&w, true);
    jw_end(&w);
    reply_json(r, 200, jw_finish(&w));
}

void kept_item(struct request *r, struct str upstream)
{
    struct bufpool *bufs = &r->cx->bufs;
    struct response_record record;
    struct response_id128 id;
    struct buf buf = {0};

    if (!response_store_id_read(&id, upstream) || !find(r, upstream, &buf, &record)) {
        request_refuse(r, ERROR_NO_SUCH_RESPONSE, (struct str){0}, false);
    } else if (r->route == ROUTE_RESPONSE_CANCEL) {
        request_refuse(r, ERROR_BAD_REQUEST,
                       STR("Only a response that runs in the background can be cancelled."), false);
    } else if (r->route == ROUTE_RESPONSE_ITEMS) {
        answer_items(r, &record);
    } else if (r->route == ROUTE_RESPONSE_DELETE) {
        if (response_store_delete(&r->cx->responses, id, r->previous_owner->is, now_s(r)))
            answer_deleted(r);
        else
            request_refuse(r, ERROR_NO_SUCH_RESPONSE, (struct str){0}, false);
    } else if (str_eq(query_get(r->query, STR("stream")), STR("true"))) {
        request_refuse(r, ERROR_BAD_FIELD, STR("stream"), false);
    } else {
        reply_json(r, 200, record.response);
    }
    buf_free(bufs, &buf);
}
