/*
 * Events as a Responses client wants them: a stream whose sequence_number has no gaps, with a
 * complete Response at its end, or that Response alone.
 */

#include "common/num.h"

#include "dialect/openai_responses.h"
#include "dialect/openai_responses_priv.h"

/* --- events -------------------------------------------------------------------------------------
 */

bool responses_event_begin(struct responses_writer *w, struct str type)
{
    struct jout *o = w->env.out;

    if (!w->env.stream || w->is_quiet)
        return false;
    jout_lit(o, "event: ");
    jout_raw(o, type);
    jout_lit(o, "\ndata: {\"type\":\"");
    jout_raw(o, type);
    jout_lit(o, "\",\"sequence_number\":");
    jout_u64(o, w->sequence++);
    return true;
}

void responses_event_end(struct responses_writer *w)
{
    jout_lit(w->env.out, "}\n\n");
}

uint8_t responses_make_id(const struct responses_writer *w, char *out, struct str prefix,
                          uint32_t n)
{
    size_t at = prefix.n;

    memcpy(out, prefix.p, prefix.n);
    at += responses_put_digits(out + at, w->env.seed, (n & 0x7fff) | 0x8000);
    return (uint8_t)at;
}

/* --- the Response -------------------------------------------------------------------------------
 */

/* What the request's members are repeated as, once; it goes into three events. */
static void echo_make(struct responses_writer *w)
{
    static const struct {
        struct str name, otherwise;
    } rows[ECHOES] = {
#define ECHOED(id, name, otherwise) [ECHO_##id] = {STR_INIT(name), STR_INIT(otherwise)},
#include "dialect/echoes.def"
#undef ECHOED
    };
    struct jout o = jout_init(w->pool, &w->echo);

    for (size_t i = 0; i < ECHOES; i++) {
        struct str given = w->env.request->echo[i];
        jout_lit(&o, ",\"");
        jout_raw(&o, rows[i].name);
        jout_lit(&o, "\":");
        jout_line(&o, given.n ? given : rows[i].otherwise);
    }
    if (o.failed)
        w->env.out->failed = true;
}

static void usage_put(struct jout *o, const struct usage *u)
{
    jout_lit(o, "{\"input_tokens\":");
    jout_u64(o, usage_prompt(u));
    jout_lit(o, ",\"input_tokens_details\":{\"cached_tokens\":");
    jout_u64(o, u->cache_read);
    jout_lit(o, ",\"cache_write_tokens\":");
    jout_u64(o, u->cache_write + u->cache_write_1h);
    jout_lit(o, "},\"output_tokens\":");
    jout_u64(o, usage_completion(u));
    jout_lit(o, ",\"output_tokens_details\":{\"reasoning_tokens\":");
    jout_u64(o, u->reasoning);
    jout_lit(o, "},\"total_tokens\":");
    jout_u64(o, usage_prompt(u) + usage_completion(u));
    jout_lit(o, "}");
}

/* Why a stop leaves the response incomplete; empty: it does not. */
static struct str incomplete_reason(const struct responses_writer *w)
{
    switch ((enum stop)w->stop) {
    case STOP_LENGTH:
    case STOP_CONTEXT:
        return STR("max_output_tokens");
    case STOP_REFUSAL: /* unless the answer itself says so */
        return w->has_refused ? (struct str){0} : STR("content_filter");
    case STOP_END:
    case STOP_SEQUENCE:
    case STOP_TOOL:
    case STOP_PAUSE:
        break;
    }
    return (struct str){0};
}

static struct str final_status(const struct responses_writer *w)
{
    return incomplete_reason(w).n ? STR("incomplete") : STR("completed");
}

/* The code a client acts on: the provider's where it has one, else by the status. */
static struct str error_code(const struct error_facts *f)
{
    uint32_t number;

    if (f->provider_code.n && !num_u32(f->provider_code, &number))
        return f->provider_code;
    return f->status == 429 ? STR("rate_limit_exceeded") : STR("server_error");
}

static void response_put(struct responses_writer *w, struct jout *o, struct str status,
                         const struct error_facts *error)
{
    bool is_over = !str_eq(status, STR("in_progress"));
    struct str reason = is_over && !error ? incomplete_reason(w) : (struct str){0};

    jout_lit(o, "{\"id\":\"");
    if (w->env.response_id.n)
        jout_text(o, w->env.response_id);
    else
        jout_raw(o, (struct str){w->id, w->id_n});
    jout_lit(o, "\",\"object\":\"response\",\"created_at\":");
    jout_u64(o, w->created);
    jout_lit(o, ",\"status\":\"");
    jout_raw(o, status);
    jout_lit(o, "\",\"error\":");
    if (error) {
        jout_lit(o, "{\"code\":");
        jout_quote(o, error_code(error));
        jout_lit(o, ",\"message\":");
        jout_quote(o, error->message);
        jout_lit(o, "}");
    } else {
        jout_lit(o, "null");
    }
    jout_lit(o, ",\"incomplete_details\":");
    if (reason.n) {
        jout_lit(o, "{\"reason\":\"");
        jout_raw(o, reason);
        jout_lit(o, "\"}");
    } else {
        jout_lit(o, "null");
    }
    jout_lit(o, ",\"model\":");
    jout_raw(o, w->env.model);
    jout_lit(o, ",\"output\":[");
    jout_raw(o, (struct str){w->output.p, w->output.n});
    jout_lit(o, "]");
    jout_raw(o, (struct str){w->echo.p, w->echo.n});
    if (w->tier.n) {
        jout_lit(o, ",\"service_tier\":");
        jout_string(o, w->tier);
    }
    jout_lit(o, ",\"usage\":");
    if (is_over && w->has_usage)
        usage_put(o, &w->usage);
    else
        jout_lit(o, "null");
    jout_lit(o, "}");
}

static void response_event(struct responses_writer *w, struct str type, struct str status,
                           const struct error_facts *error)
{
    if (!responses_event_begin(w, type))
        return;
    jout_lit(w->env.out, ",\"response\":");
    response_put(w, w->env.out, status, error);
    responses_event_end(w);
}

/* --- what the events say ------------------------------------------------------------------------
 */

static void on_start(struct responses_writer *w, const struct event *e)
{
    if (w->started)
        return;
    w->started = true;
    w->created = e->created ? e->created : w->env.now_s;
    response_event(w, STR("response.created"), STR("in_progress"), NULL);
    response_event(w, STR("response.in_progress"), STR("in_progress"), NULL);
}

/* A refusal that is only told as the reason why the answer ended is said in its words. */
static void on_finish(struct responses_writer *w, const struct event *e)
{
    struct event said = *e;

    w->stop = e->stop;
    if (e->stop == STOP_REFUSAL && e->text.n) {
        said.block_kind = BLOCK_REFUSAL;
        said.block = UINT32_MAX;
        responses_item_block(w, &said);
        responses_item_delta(w, &said);
    }
    responses_items_end(w, final_status(w));
}

static void on_usage(struct responses_writer *w, const struct event *e)
{
    static const struct {
        struct str theirs, ours;
    } tiers[] = {
        /* Messages' names for it */
        {STR_INIT("standard"), STR_INIT("default")},
        {STR_INIT("batch"), STR_INIT("default")},
    };
    struct str tier = {e->service_tier.p, e->service_tier.n};

    if (e->usage && e->usage->seen) {
        w->usage = *e->usage;
        w->has_usage = true;
    }
    for (size_t i = 0; i < ARRAY_LEN(tiers); i++)
        if (str_eq(tier, tiers[i].theirs))
            tier = tiers[i].ours;
    if (tier.n && !str_eq(tier, (struct str){w->tier.p, w->tier.n})) {
        tier = arena_str(w->env.arena, tier);
        w->tier = (struct jstr){tier.p, tier.n};
    }
}

/* Nothing sent yet: the event alone; else the response has failed. */
static void on_error(struct responses_writer *w, const struct event *e)
{
    struct error_facts f = *e->error;

    w->is_over = true;
    if (!w->env.stream)
        return; /* a status and a body of its own tell it */
    if (!w->started) {
        f.sequence = w->sequence;
        jout_raw(w->env.out, envelope_event(w->env.arena, API_RESPONSES, &f));
        return;
    }
    w->is_quiet = true;
    responses_items_end(w, STR("incomplete"));
    w->is_quiet = false;
    response_event(w, STR("response.failed"), STR("failed"), &f);
}

static void on_end(struct responses_writer *w)
{
    struct str status = final_status(w);

    responses_items_end(w, status);
    w->is_over = true;
    if (w->env.stream)
        response_event(
            w, incomplete_reason(w).n ? STR("response.incomplete") : STR("response.completed"),
            status, NULL);
    else
        response_put(w, w->env.out, status, NULL);
}

void responses_put(void *writer, struct jout *o)
{
    struct responses_writer *w = writer;

    response_put(w, o, final_status(w), NULL);
}

void responses_write(void *writer, const struct event *e)
{
    struct responses_writer *w = writer;

    if (w->is_over || e->choice) /* the client could not ask for several */
        return;
    if (!w->started && e->kind != EVENT_ERROR)
        on_start(w, e);
    switch ((enum event_kind)e->kind) {
    case EVENT_DELTA:
        responses_item_delta(w, e);
        break;
    case EVENT_BLOCK:
        w->has_refused |= e->block_kind == BLOCK_REFUSAL;
        responses_item_block(w, e);
        break;
    case EVENT_SIGNATURE:
        responses_item_signature(w, e);
        break;
    case EVENT_CITATION:
        responses_item_note(w, e);
        break;
    case EVENT_LOGPROBS:
        responses_item_logprobs(w, e);
        break;
    case EVENT_BLOCK_END:
        responses_item_block_end(w, e);
        break;
    case EVENT_OPAQUE:
        responses_item_opaque(w, e);
        break;
    case EVENT_FINISH:
        on_finish(w, e);
        break;
    case EVENT_USAGE:
        on_usage(w, e);
        break;
    case EVENT_ERROR:
        on_error(w, e);
        break;
    case EVENT_END:
        on_end(w);
        break;
    case EVENT_START:
    case EVENT_PING:
        break;
    }
}

/* Copies what calls will be looked up by. */
static void spaces_keep(struct responses_writer *w)
{
    for (const struct tool *t = w->env.request->tools; t; t = t->next) {
        if (!t->space.n)
            continue;
        struct responses_space *own = arena_zalloc(w->env.arena, sizeof *own);
        struct str name = arena_str(w->env.arena, (struct str){t->name.p, t->name.n});
        if (!own)
            return;
        *own = (struct responses_space){w->spaces, {name.p, name.n}, t->space.n};
        w->spaces = own;
    }
}

void responses_writer_init(void *writer, const struct writer_env *env)
{
    struct responses_writer *w = writer;

    w->env = *env;
    w->pool = env->out->pool;
    w->created = env->now_s;
    w->id_n = responses_make_id(w, w->id, STR("resp_"), 0);
    spaces_keep(w);
    echo_make(w);
}

void responses_writer_deinit(void *writer)
{
    struct responses_writer *w = writer;

    if (!w->pool)
        return;
    responses_items_free(w);
    buf_free(w->pool, &w->echo);
    buf_free(w->pool, &w->output);
    buf_free(w->pool, &w->notes);
    buf_free(w->pool, &w->logprobs);
}
