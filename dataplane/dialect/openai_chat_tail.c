/* What chunks, replies and completions begin and end with (wire-formats.md A.7 to A.9, E.1.3). */

#include "dialect/openai_chat_priv.h"

static struct str id_of(const struct writer_env *env, struct jstr id, struct str prefix)
{
    if (jstr_starts(id, prefix))
        return (struct str){id.p, id.n};
    return arena_printf(env->arena, STR_FMT "%016llx%016llx", STR_ARG(prefix),
                        (unsigned long long)env->seed[0], (unsigned long long)env->seed[1]);
}

struct str chat_head(const struct writer_env *env, const struct event *start, struct str id_prefix,
                     struct str object)
{
    struct str id = id_of(env, start->id, id_prefix);
    struct jstr print = start->name;

    return arena_printf(env->arena,
                        "{\"id\":\"" STR_FMT "\",\"object\":\"" STR_FMT
                        "\",\"created\":%llu,\"model\":" STR_FMT "%s" STR_FMT "%s,\"choices\":[",
                        STR_ARG(id), STR_ARG(object),
                        (unsigned long long)(start->created ? start->created : env->now_s),
                        STR_ARG(env->model), print.n ? ",\"system_fingerprint\":\"" : "",
                        STR_ARG(print), print.n ? "\"" : "");
}

struct str chat_finish_reason(enum stop stop)
{
    static const struct str reasons[] = {
        [STOP_END] = STR_INIT("stop"),        [STOP_SEQUENCE] = STR_INIT("stop"),
        [STOP_LENGTH] = STR_INIT("length"),   [STOP_CONTEXT] = STR_INIT("length"),
        [STOP_TOOL] = STR_INIT("tool_calls"), [STOP_REFUSAL] = STR_INIT("content_filter"),
        [STOP_PAUSE] = STR_INIT("stop"),
    };

    return reasons[stop];
}

void chat_tail_read(struct chat_tail *t, const struct event *e)
{
    if (e->usage && e->usage->seen) {
        t->usage = *e->usage;
        t->has_usage = true;
    }
    if (e->service_tier.n && e->service_tier.n <= sizeof t->tier) {
        t->tier_n = (uint8_t)e->service_tier.n;
        memcpy(t->tier, e->service_tier.p, t->tier_n);
    }
}

static void put_count(struct jout *o, struct str before, uint64_t v)
{
    jout_raw(o, before);
    jout_u64(o, v);
}

static void put_some(struct jout *o, struct str before, uint64_t v)
{
    if (v)
        put_count(o, before, v);
}

/* A.8: the whole prompt and the whole answer, and what of them is special. */
static void put_usage(struct jout *o, const struct usage *u)
{
    uint64_t prompt = usage_prompt(u), completion = usage_completion(u);
    uint64_t written = u->cache_write + u->cache_write_1h;

    put_count(o, STR("{\"prompt_tokens\":"), prompt);
    put_count(o, STR(",\"completion_tokens\":"), completion);
    put_count(o, STR(",\"total_tokens\":"), prompt + completion);
    put_count(o, STR(",\"prompt_tokens_details\":{\"cached_tokens\":"), u->cache_read);
    put_some(o, STR(",\"cache_write_tokens\":"), written);
    put_some(o, STR(",\"cache_creation_tokens\":"), written);
    put_some(o, STR(",\"audio_tokens\":"), u->audio_in);
    put_some(o, STR(",\"image_tokens\":"), u->image_in);
    put_count(o, STR(",\"text_tokens\":"), u->input);
    put_count(o, STR("},\"completion_tokens_details\":{\"reasoning_tokens\":"), u->reasoning);
    put_some(o, STR(",\"audio_tokens\":"), u->audio_out);
    put_some(o, STR(",\"image_tokens\":"), u->image_out);
    put_count(o, STR(",\"text_tokens\":"), u->output);
    jout_lit(o, "}");
    if (written + u->cache_read) { /* LiteLLM's */
        put_count(o, STR(",\"cache_creation_input_tokens\":"), written);
        put_count(o, STR(",\"cache_read_input_tokens\":"), u->cache_read);
    }
    if (u->web_searches) {
        put_count(o, STR(",\"server_tool_use\":{\"web_search_requests\":"), u->web_searches);
        jout_lit(o, "}");
    }
    jout_lit(o, "}");
}

/* E.1.3 */
static struct jstr tier_name(struct jstr tier)
{
    return jstr_is(tier, STR("standard")) ? JSTR("default")
           : jstr_is(tier, STR("batch"))  ? JSTR("flex")
                                          : tier;
}

void chat_tail_put(struct jout *o, const struct chat_tail *t)
{
    if (t->has_usage) {
        jout_lit(o, ",\"usage\":");
        put_usage(o, &t->usage);
    }
    if (t->tier_n) {
        jout_lit(o, ",\"service_tier\":");
        jout_string(o, tier_name((struct jstr){t->tier, t->tier_n}));
    }
}

void chat_put_end(struct jout *o, struct str head, const struct chat_tail *t, bool include_usage)
{
    if (include_usage && t->has_usage) {
        jout_lit(o, "data: ");
        jout_raw(o, head);
        jout_lit(o, "]");
        chat_tail_put(o, t);
        jout_lit(o, "}\n\n");
    }
    jout_lit(o, "data: [DONE]\n\n");
}

void chat_put_error(struct jout *o, struct arena *a, enum api api, const struct error_facts *f)
{
    struct error_facts seen = *f;

    envelope_refusal(&seen, api, f->status);
    jout_raw(o, envelope_event(a, api, &seen));
}
