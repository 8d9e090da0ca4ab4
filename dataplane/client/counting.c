/* The shapes of both answers are LiteLLM's, the mark on an estimate too. */

#include "client/counting.h"

#include "common/jw.h"

#include "client/conn.h"
#include "client/reply.h"
#include "client/upstream_request.h"
#include "dialect/count.h"

#define ESTIMATED "local_estimate" /* litellm_count_source, count_source */

/* The tokens of the body; false when the client was refused. */
static bool count(struct request *r, struct str wanted, uint64_t *ret)
{
    struct json_tape tape;

    json_tape_init(&tape, &r->cx->bufs);
    enum json_tape_state s = json_tape_read(&tape, r->conn->body.p, r->conn->body.n);
    *ret = s == JSON_TAPE_DONE ? count_prompt(&tape) : 0;
    json_tape_deinit(&tape);
    if (s != JSON_TAPE_DONE)
        request_refuse(r,
                       s == JSON_TAPE_DEEP     ? ERROR_DEEP_JSON
                       : s == JSON_TAPE_LIMIT  ? ERROR_OVERLOADED
                       : s == JSON_TAPE_BROKEN ? ERROR_BROKEN_TEXT
                                               : ERROR_BAD_JSON,
                       (struct str){0}, false);
    else if (!*ret)
        request_refuse(r, ERROR_BAD_REQUEST, wanted, false);
    return *ret != 0;
}

static void answer(struct request *r, struct jw *w)
{
    struct str json = jw_finish(w);

    if (json.n)
        reply_json(r, 200, json);
    else
        request_refuse(r, ERROR_OVERLOADED, (struct str){0}, false);
}

void counting_messages(struct request *r)
{
    struct jw w = jw_init(&r->arena);
    uint64_t n;

    if (!count(r, STR("messages parameter is required"), &n))
        return;
    jw_obj(&w);
    jw_key(&w, STR("input_tokens"));
    jw_put_u64(&w, n);
    jw_key(&w, STR("litellm_count_source"));
    jw_put_str(&w, STR(ESTIMATED));
    jw_end(&w);
    answer(r, &w);
}

/* The name of the model that would have been asked, as it was admitted; one nobody serves is taken
 * as it is. */
static struct str model_used(struct request *r)
{
    const struct snap_deployment *d;

    if (!r->found.group && !r->found.deployment)
        return r->model;
    plan_init(&r->plan, r->snapshot, &r->found, SNAP_NONE);
    d = plan_next(&r->plan, context_random(r->cx));
    return d ? upstream_request_model(r, d) : r->model;
}

void counting_utility(struct request *r)
{
    struct jw w = jw_init(&r->arena);
    uint64_t n;

    if (!count(r, STR("prompt or messages or contents must be provided"), &n))
        return;
    jw_obj(&w);
    jw_key(&w, STR("total_tokens"));
    jw_put_u64(&w, n);
    jw_key(&w, STR("request_model"));
    jw_put_str(&w, r->model);
    jw_key(&w, STR("model_used"));
    jw_put_str(&w, model_used(r));
    jw_key(&w, STR("tokenizer_type"));
    jw_put_str(&w, STR(ESTIMATED));
    jw_key(&w, STR("count_source"));
    jw_put_str(&w, STR(ESTIMATED));
    jw_key(&w, STR("original_response"));
    jw_put_null(&w);
    jw_key(&w, STR("error"));
    jw_put_bool(&w, false);
    jw_key(&w, STR("error_message"));
    jw_put_null(&w);
    jw_key(&w, STR("status_code"));
    jw_put_null(&w);
    jw_end(&w);
    answer(r, &w);
}
