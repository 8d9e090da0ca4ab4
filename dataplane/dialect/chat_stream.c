/* One event with the message as delta, one that finishes it, per choice; through a tree, since it
 * is rare. */

#include "dialect/chat_stream.h"

#include <yyjson.h>

#include "common/jw.h"

static void put_value(struct jw *w, yyjson_val *v)
{
    size_t n;
    char *json = v ? yyjson_val_write(v, 0, &n) : NULL;

    jw_put_raw(w, json ? (struct str){json, n} : STR("null"));
    free(json);
}

static struct str str_val(yyjson_val *v)
{
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

/* What every event repeats. */
static void put_common(struct jw *w, yyjson_val *root)
{
    static const char *const kept[] = {"id", "created", "model", "system_fingerprint",
                                       "service_tier"};

    jw_obj(w);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        yyjson_val *v = yyjson_obj_get(root, kept[i]);
        if (v) {
            jw_key(w, str_of(kept[i]));
            put_value(w, v);
        }
    }
    jw_key(w, STR("object"));
    jw_put_str(w, STR("chat.completion.chunk"));
}

/* tool_calls of a delta carry their index. */
static void put_tool_calls(struct jw *w, yyjson_val *calls)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(calls);
    yyjson_val *call, *key;

    jw_arr(w);
    for (uint64_t i = 0; (call = yyjson_arr_iter_next(&it)); i++) {
        yyjson_obj_iter members = yyjson_obj_iter_with(call);
        jw_obj(w);
        jw_key(w, STR("index"));
        jw_put_u64(w, i);
        while ((key = yyjson_obj_iter_next(&members)))
            if (!yyjson_equals_str(key, "index")) {
                jw_key(w, str_val(key));
                put_value(w, yyjson_obj_iter_get_val(key));
            }
        jw_end(w);
    }
    jw_end(w);
}

static void put_delta(struct jw *w, yyjson_val *message)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(message);
    yyjson_val *key;

    jw_obj(w);
    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        jw_key(w, str_val(key));
        if (yyjson_equals_str(key, "tool_calls") && yyjson_is_arr(v))
            put_tool_calls(w, v);
        else
            put_value(w, v);
    }
    jw_end(w);
}

/* One event of one choice: its message, or its end. */
static struct str choice_event(struct arena *a, yyjson_val *root, yyjson_val *choice, uint64_t i,
                               bool end)
{
    struct jw w = jw_init(a);

    put_common(&w, root);
    jw_key(&w, STR("choices"));
    jw_arr(&w);
    jw_obj(&w);
    jw_key(&w, STR("index"));
    if (yyjson_is_raw(yyjson_obj_get(choice, "index")))
        put_value(&w, yyjson_obj_get(choice, "index"));
    else
        jw_put_u64(&w, i); /* readers sort deltas by it */
    jw_key(&w, STR("delta"));
    put_delta(&w, end ? NULL : yyjson_obj_get(choice, "message"));
    jw_key(&w, STR("finish_reason"));
    put_value(&w, end ? yyjson_obj_get(choice, "finish_reason") : NULL);
    if (!end && yyjson_obj_get(choice, "logprobs")) {
        jw_key(&w, STR("logprobs"));
        put_value(&w, yyjson_obj_get(choice, "logprobs"));
    }
    jw_end(&w);
    jw_end(&w);
    jw_end(&w);
    return jw_finish(&w);
}

static struct str usage_event(struct arena *a, yyjson_val *root)
{
    struct jw w = jw_init(a);

    put_common(&w, root);
    jw_key(&w, STR("choices"));
    jw_arr(&w);
    jw_end(&w);
    jw_key(&w, STR("usage"));
    put_value(&w, yyjson_obj_get(root, "usage"));
    jw_end(&w);
    return jw_finish(&w);
}

struct str chat_stream_of(struct arena *a, struct str reply, bool include_usage)
{
    /* F.17: numbers stay as they are written */
    yyjson_doc *doc = yyjson_read(reply.p, reply.n, YYJSON_READ_NUMBER_AS_RAW);
    yyjson_val *root = yyjson_doc_get_root(doc), *choice;
    yyjson_arr_iter it = yyjson_arr_iter_with(yyjson_obj_get(root, "choices"));
    struct str out = {0};

    if (yyjson_is_arr(yyjson_obj_get(root, "choices"))) {
        for (uint64_t i = 0; (choice = yyjson_arr_iter_next(&it)); i++)
            out = arena_printf(a, STR_FMT "data: " STR_FMT "\n\ndata: " STR_FMT "\n\n",
                               STR_ARG(out), STR_ARG(choice_event(a, root, choice, i, false)),
                               STR_ARG(choice_event(a, root, choice, i, true)));
        if (include_usage && yyjson_obj_get(root, "usage"))
            out = arena_printf(a, STR_FMT "data: " STR_FMT "\n\n", STR_ARG(out),
                               STR_ARG(usage_event(a, root)));
        out = arena_printf(a, STR_FMT "data: [DONE]\n\n", STR_ARG(out));
    }
    yyjson_doc_free(doc);
    return arena_ok(a) ? out : (struct str){0};
}
