/*
 * model_list to deployments. One entry is credential_list values and default_litellm_params merged
 * under its own parameters, then one deployment, or one of each organization. A broken entry is
 * left out with a warning (router_settings.ignore_invalid_deployments), the others go on; when
 * none is left the file is refused.
 */

#include "common/gateway/capability.h"
#include "common/gateway/glob.h"
#include "common/gateway/param.h"
#include "common/gateway/provider.h"
#include "common/num.h"

#include "link/config_priv.h"
#include "provider/quirks.h"
#include "snapshot/view.h"

enum { MAX_STARS = ARRAY_LEN(((struct snap_found *)NULL)->captured) };

struct models { /* state of the build */
    struct config *c;
    uint32_t cap;
    const struct conf_node *list;
    bool strict; /* a broken entry of the file stops the start */
};

static struct str text_of(const struct conf_node *map, const char *key)
{
    struct str text;

    return conf_text(NULL, conf_get(map, str_of(key)), &text) ? text : (struct str){0};
}

static bool bool_of(const struct conf_node *map, const char *key, bool dflt)
{
    bool truth;

    return conf_bool(NULL, conf_get(map, str_of(key)), &truth) ? truth : dflt;
}

static struct str text_or(struct str a, struct str b)
{
    return a.n ? a : b;
}

static unsigned stars(struct str s)
{
    unsigned n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '*';
    return n;
}

/* Texts of NAMES, in the arena. */
static const struct str *names_of(struct config *c, const struct conf_node *n, size_t *ret_n)
{
    struct str name, *names = arena_alloc(&c->file.arena, (n ? n->n + 1 : 1) * sizeof *names);

    *ret_n = 0;
    for (uint32_t i = 0; names && setting_name(n, i, &name); i++)
        names[(*ret_n)++] = name;
    return names;
}

/* ---- request body: defaults and additions of the parameters ---- */

static bool is_price_field(struct str key)
{
    return str_find(key, STR("_cost")) != SIZE_MAX || str_find(key, STR("cost_per_")) != SIZE_MAX;
}

/* The requests a member of litellm_params may be put in: those that know one of its name, and of a
 * name that is none of OpenAI's all. Counting takes none. */
static uint32_t apis_of(struct str name)
{
    const struct param *p = param_find(name);

    return (p ? p->apis : BIT(API_COUNT) - 1) & ~BIT(API_COUNT_TOKENS);
}

static bool is_body_member(const struct conf_node *n)
{
    return n->kind != CONF_NULL && setting_find(SECTION_PARAMS, n->key) == SETTINGS &&
           !is_price_field(n->key);
}

/*
 * The edits of the target between those of its parameters: what the client is silent about comes
 * first, so that everything behind it treats a default as it would the client's own value.
 */
static void body_edits(struct config *c, struct config_deployment *d)
{
    struct edits l = {.arena = &c->file.arena};
    struct target *t = &d->target;

    CONF_FOREACH(d->params, it)
    if (is_body_member(it))
        edits_add(&l, (struct edit){.op = EDIT_DEFAULT,
                                    .apis = apis_of(it->key),
                                    .a = it->key,
                                    .b = conf_json(&c->file.arena, it),
                                    .side = EDIT_OPENAI});
    for (size_t i = 0; i < t->n_edits; i++)
        edits_add(&l, t->edits[i]);
    CONF_FOREACH(conf_get(d->params, STR("extra_body")), it)
    edits_add(&l, (struct edit){.op = EDIT_SET,
                                .apis = BIT(API_COUNT) - 1,
                                .a = it->key,
                                .b = conf_json(&c->file.arena, it),
                                .side = EDIT_SENT});
    t->edits = l.v;
    t->n_edits = l.n;
}

/* Conditions on what the model can do, where it is known: kept or gone. */
static void resolve_edits(struct config_deployment *d)
{
    struct target *t = &d->target;
    size_t kept = 0;

    for (size_t i = 0; i < t->n_edits && !(d->flags & SNAP_WILDCARD); i++) {
        struct edit ed = t->edits[i];
        if ((d->can & ed.has) != ed.has || d->can & ed.lacks)
            continue;
        ed.has = ed.lacks = 0;
        t->edits[kept++] = ed;
    }
    if (!(d->flags & SNAP_WILDCARD))
        t->n_edits = kept;
}

/* ---- what it means on the wire ---- */

static const struct target_header *headers_of(struct config *c, const struct conf_node *params,
                                              size_t *ret_n, struct conf_log *log)
{
    const struct conf_node *extra = conf_get(params, STR("extra_headers"));
    const struct conf_node *other = conf_get(params, STR("headers"));
    size_t max = (extra ? extra->n : 0) + (other ? other->n : 0);
    struct target_header *h = arena_zalloc(&c->file.arena, (max + 1) * sizeof *h);

    *ret_n = 0;
    if (!h)
        return NULL;
    CONF_FOREACH(extra, it)
    if (it->kind != CONF_NULL && conf_text(log, it, &h[*ret_n].value))
        h[(*ret_n)++].name = it->key;
    CONF_FOREACH(other, it)
    if (!conf_get(extra, it->key) && it->kind != CONF_NULL && conf_text(log, it, &h[*ret_n].value))
        h[(*ret_n)++].name = it->key;
    return h;
}

/* Where a parameter stands, else the entry: messages of target_make() begin with its name. */
static const struct conf_node *place_of(const struct config_deployment *d, const char *msg)
{
    struct str key = {msg, strspn(msg, "abcdefghijklmnopqrstuvwxyz_")};
    const struct conf_node *n = conf_get(d->params, key);

    return n ? n : d->at;
}

static bool serves_messages(const struct conf_node *info)
{
    const struct conf_node *endpoints = conf_get(info, STR("supported_endpoints"));
    struct str one;

    for (uint32_t i = 0; setting_name(endpoints, i, &one); i++)
        if (str_eq(one, STR("/v1/messages")))
            return true;
    return false;
}

static void make_target(struct config *c, struct config_deployment *d, struct config_entry *en,
                        struct conf_log *log)
{
    const struct conf_node *p = d->params;
    struct err e = {0};
    struct target_config tc = {
        .model = d->litellm_model,
        .custom_llm_provider = text_of(p, "custom_llm_provider"),
        .api_key = text_of(p, "api_key"),
        .api_base = text_or(text_of(p, "api_base"), text_of(p, "base_url")),
        .api_version = text_of(p, "api_version"),
        .organization = d->organization,
        .azure_ad_token = text_of(p, "azure_ad_token"),
        .aws_region_name = text_of(p, "aws_region_name"),
        .base_model = text_or(text_of(d->info, "base_model"), text_of(p, "base_model")),
        .env = config_entry_env,
        .env_ctx = en,
    };

    tc.extra_headers = headers_of(c, p, &tc.n_extra_headers, log);
    tc.serves_messages = serves_messages(d->info);
    tc.additional_drop_params =
        names_of(c, conf_get(p, STR("additional_drop_params")), &tc.n_additional_drop_params);
    tc.allowed_openai_params =
        names_of(c, conf_get(p, STR("allowed_openai_params")), &tc.n_allowed_openai_params);
    enum errc rc = target_make(&d->target, &tc, &c->file.arena, &d->missing_key, &e);
    if (d->flags & SNAP_MOCK) { /* nothing is sent: any model name will do */
        if (rc)
            d->target = (struct target){.provider = STR("openai"), .model = d->litellm_model};
        d->missing_key = (struct str){0};
        d->target.unsupported = (struct str){0};
    } else if (rc) {
        conf_note(log, CONF_ERROR, place_of(d, e.msg), "%s", e.msg);
        return;
    }
    if (d->missing_key.n)
        d->flags |= SNAP_NO_KEY;
    if (d->target.model_in_path)
        d->flags |= SNAP_MODEL_IN_PATH;
    if (d->target.stream_usage)
        d->flags |= SNAP_STREAM_USAGE;
    if (stars(d->target.model))
        d->flags |= SNAP_WILDCARD;
    if (str_eq(d->target.host, STR("api.openai.com")) ||
        str_ends(d->target.host, STR(".api.openai.com")) ||
        str_eq(d->target.provider, STR("azure")))
        d->flags |= SNAP_OF_OPENAI;
}

/* ---- price, mode, limits ---- */

/* Own figures of one map; false when it has none that price. `limits` are read from model_info
 * alone: max_tokens of litellm_params is the request's. */
static bool own_prices(struct price *price, const struct conf_node *map, bool limits,
                       struct conf_log *log)
{
    bool any = false;

    CONF_FOREACH(map, it)
    {
        if ((it->kind != CONF_INT && it->kind != CONF_FLOAT && it->kind != CONF_STR) ||
            !(limits || is_price_field(it->key)))
            continue;
        switch (price_set(price, it->key, it->text)) {
        case PRICE_FIELD_SET:
            any = any || is_price_field(it->key);
            break;
        case PRICE_FIELD_OTHER:
            break;
        case PRICE_FIELD_BAD:
            conf_note(log, CONF_ERROR, it, STR_FMT ": a number from 0 is wanted", STR_ARG(it->key));
            break;
        }
    }
    return any;
}

static void price_of(struct config *c, struct config_deployment *d, struct conf_log *log)
{
    struct str base = text_or(text_of(d->info, "base_model"), text_of(d->params, "base_model"));
    bool found = false, own;

    d->base_model = text_or(base, d->target.model);
    price_init(&d->price);
    if (base.n || !(d->flags & SNAP_WILDCARD))
        found = price_map_find(c->prices, d->target.provider, d->base_model, &d->priced);
    if (found) {
        d->price = d->priced.price;
        price_regional(&d->price, d->target.host);
    } else {
        d->priced = (struct priced_model){0};
    }
    own = own_prices(&d->price, d->params, false, log);
    own = own_prices(&d->price, d->info, true, log) || own;
    if (found || own)
        d->flags |= SNAP_PRICED;
}

static uint32_t mode_of(const struct config_deployment *d)
{
    static const struct {
        const char *name;
        enum snap_mode mode;
    } modes[] = {
        {"", SNAP_MODE_CHAT},
        {"chat", SNAP_MODE_CHAT},
        {"completion", SNAP_MODE_COMPLETION},
        {"embedding", SNAP_MODE_EMBEDDING},
        {"moderation", SNAP_MODE_MODERATION},
        {"responses", SNAP_MODE_RESPONSES},
    };
    struct str name = text_or(text_of(d->info, "mode"), price_mode_name(d->priced.mode));

    for (size_t i = 0; i < ARRAY_LEN(modes); i++)
        if (str_eq(name, str_of(modes[i].name)))
            return modes[i].mode;
    return SNAP_MODE_OTHER;
}

/* ---- which API is spoken upstream ---- */

/*
 * What the model is: its name, model_info.mode and the price map say, in this order; but no setting
 * makes a chat model of one that is for the Responses API alone.
 */
static enum via_kind kind_of(const struct config_deployment *d)
{
    enum via_kind priced = via_kind_of(d->priced.mode);
    struct str mode = text_of(d->info, "mode");

    if (d->target.asked == API_RESPONSES || str_eq(mode, STR("responses")))
        return VIA_RESPONSES;
    if (priced == VIA_UNKNOWN && str_eq(mode, STR("chat")))
        return VIA_CHAT;
    /* The name of an Azure deployment says nothing: few are for completions. */
    if (priced == VIA_UNKNOWN && !mode.n && d->priced.mode == PRICE_MODE_UNKNOWN &&
        str_eq(d->target.provider, STR("azure")))
        return VIA_CHAT;
    return priced;
}

static void vias_of(const struct config *c, struct config_deployment *d)
{
    bool is_openai = str_eq(d->target.provider, STR("openai"));
    bool by_chat = config_bool(
        &c->file,
        CONFIG_FIRST(&c->file, SETTING_LITELLM_use_chat_completions_url_for_anthropic_messages,
                     SETTING_ENV_LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES));

    for (unsigned i = 0; i < API_COUNT; i++)
        if (d->target.path[i].before.n)
            d->via.native |= BIT(i);
    d->via.messages_by_responses = is_openai && !by_chat;
    d->via.chat_by_responses =
        is_openai && config_bool(&c->file, SETTING_LITELLM_route_all_chat_openai_to_responses);
    d->via.responses_by_chat =
        d->target.asked == API_CHAT || bool_of(d->params, "use_chat_completions_api", false);
    d->via.refuses_completions = is_openai || str_eq(d->target.provider, STR("azure"));
    d->kind = kind_of(d);
}

/* ---- what the model can do ---- */

/* What `map` says of capabilities, in either direction. */
static void own_capabilities(struct config_deployment *d, const struct conf_node *map,
                             uint32_t *can, uint32_t *cannot)
{
    bool is_claude = d->target.dialect == DIALECT_ANTHROPIC;

    CONF_FOREACH(map, it)
    {
        uint32_t bits = capability_named(it->key);
        bool truth;
        if (!bits || !conf_bool(NULL, it, &truth))
            continue;
        /* LiteLLM says so of every Claude, also of those that only use a tool for it. */
        if (truth && is_claude && str_eq(it->key, STR("supports_response_schema")))
            continue;
        *can = truth ? *can | bits : *can & ~bits;
        *cannot = truth ? *cannot & ~bits : *cannot | bits;
    }
}

/* The name whose rules hold, without provider. */
static struct str plain_name(struct str model)
{
    struct str prefix, name;

    return str_cut(model, '/', &prefix, &name) && provider_find(prefix) ? name : model;
}

static void capabilities_of(struct config_deployment *d)
{
    uint32_t can = 0, cannot = 0, max_output = 0, known = 0;

    own_capabilities(d, d->params, &can, &cannot);
    own_capabilities(d, d->info, &can, &cannot);
    if (!(d->flags & SNAP_WILDCARD))
        known = capability_of(d->target.provider, plain_name(d->base_model), &max_output) |
                capability_priced(d->priced.features);
    d->can = (known & ~cannot) | can;
    d->cannot = cannot;
    d->max_output = d->price.max_output_tokens ? d->price.max_output_tokens : max_output;
}

/* ---- timeouts, weights ---- */

static uint32_t param_ms(const struct config_deployment *d, const char *key)
{
    return config_node_ms(conf_get(d->params, str_of(key)));
}

static void timeouts_of(const struct config *c, struct config_deployment *d)
{
    uint32_t whole = param_ms(d, "timeout"), stream = param_ms(d, "stream_timeout");

    if (!whole)
        whole = config_ms(&c->file,
                          CONFIG_FIRST(&c->file, SETTING_ROUTER_timeout,
                                       SETTING_LITELLM_request_timeout, SETTING_ENV_REQUEST_TIMEOUT,
                                       SETTING_LITELLM_request_timeout));
    if (!stream)
        stream = config_ms(&c->file, SETTING_ROUTER_stream_timeout);
    d->timeout_ms = whole;
    d->stream_timeout_ms = stream ? stream : whole;
}

static int64_t param_scaled(const struct config_deployment *d, const char *key, int scale)
{
    int64_t v;

    return conf_scaled(NULL, conf_get(d->params, str_of(key)), scale, &v) ? v : -1;
}

/* ---- one deployment ---- */

static bool is_id_free(struct config *c, const struct config_deployment *d, struct conf_log *log)
{
    for (uint32_t i = 0; i < c->n_deployments; i++)
        if (str_eq(c->deployments[i].id, d->id)) {
            struct str place = conf_place(&c->file.arena, c->deployments[i].at);
            conf_note(log, CONF_ERROR, d->at,
                      "the same deployment as " STR_FMT ", by its id " STR_FMT, STR_ARG(place),
                      STR_ARG(d->id));
            return false;
        }
    return true;
}

static struct config_deployment *deployments_push(struct models *m,
                                                  const struct config_deployment *d)
{
    struct config *c = m->c;

    if (c->n_deployments == m->cap) {
        uint32_t cap = m->cap ? m->cap * 2 : 16;
        struct config_deployment *more = arena_alloc(&c->file.arena, cap * sizeof *more);
        if (!more)
            return NULL;
        if (c->n_deployments)
            memcpy(more, c->deployments, c->n_deployments * sizeof *more);
        c->deployments = more;
        m->cap = cap;
    }
    c->deployments[c->n_deployments] = *d;
    return &c->deployments[c->n_deployments++];
}

static void add_deployment(struct models *m, const struct config_deployment *entry,
                           struct config_entry *en, struct str organization, uint32_t nth,
                           struct conf_log *log)
{
    struct config_deployment d = *entry;
    const struct conf_node *mock = conf_get(d.params, STR("mock_response"));
    struct config *c = m->c;
    struct str id = text_of(d.info, "id");
    unsigned errors = log->n_errors;

    d.organization = organization;
    bool drop = config_bool(&c->file, CONFIG_FIRST(&c->file, SETTING_LITELLM_drop_params,
                                                   SETTING_ENV_LITELLM_DROP_PARAMS));
    bool modify = config_bool(&c->file, CONFIG_FIRST(&c->file, SETTING_LITELLM_modify_params,
                                                     SETTING_ENV_LITELLM_MODIFY_PARAMS));

    if (bool_of(d.params, "drop_params", drop))
        d.flags |= SNAP_DROP_PARAMS;
    if (bool_of(d.params, "modify_params", modify))
        d.flags |= SNAP_MODIFY_PARAMS;
    if (!conf_is_off(mock)) {
        d.flags |= SNAP_MOCK;
        d.mock_response = mock->kind == CONF_STR ? mock->text : conf_json(&c->file.arena, mock);
    }
    if (id.n == 0)
        d.id = config_deployment_id(&c->file, d.group, d.raw_params, d.organization);
    else
        d.id = nth ? arena_printf(&c->file.arena, STR_FMT "-%u", STR_ARG(id), nth + 1) : id;
    make_target(c, &d, en, log);
    if (log->n_errors > errors || !is_id_free(c, &d, log))
        return;
    price_of(c, &d, log);
    timeouts_of(c, &d);
    vias_of(c, &d);
    capabilities_of(&d);
    resolve_edits(&d);
    body_edits(c, &d);
    d.mode = d.kind == VIA_RESPONSES ? SNAP_MODE_RESPONSES : mode_of(&d);
    d.weight = param_scaled(&d, "weight", 3);
    d.rpm = param_scaled(&d, "rpm", 0);
    d.tpm = param_scaled(&d, "tpm", 0);
    if (!conf_u32(NULL, conf_get(d.params, STR("order")), &d.order))
        d.order = 0;
    if (!conf_u32(NULL, conf_get(d.params, STR("num_retries")), &d.num_retries))
        d.num_retries = SNAP_NONE;
    d.is_discoverable = bool_of(d.info, "discoverable", true);
    d.origin = SNAP_NONE;
    if (!(d.flags & SNAP_MOCK) && d.target.unsupported.n == 0)
        d.origin = config_origin_of(c, &d, log);
    if (log->n_errors == errors) {
        d.info_json = config_deployment_info(c, &d);
        (void)deployments_push(m, &d); /* NULL: the arena failed, and says so at the end */
    }
}

/* ---- one entry ---- */

/* False where model_info says the deployment is not for here. */
static bool is_wanted(struct config *c, const struct conf_node *info)
{
    const struct conf_node *environments = conf_get(info, STR("supported_environments"));
    struct str here = config_text(&c->file, SETTING_ENV_LITELLM_ENVIRONMENT), one;

    if (bool_of(info, "blocked", false))
        return false;
    if (conf_is_off(environments) || here.n == 0)
        return true;
    for (uint32_t i = 0; setting_name(environments, i, &one); i++)
        if (str_eq(one, here))
            return true;
    return false;
}

static void add_entry(struct models *m, const struct conf_node *entry, struct conf_log *log)
{
    struct config *c = m->c;
    const struct conf_node *raw = conf_get(entry, STR("litellm_params"));
    const struct conf_node *organization, *name = conf_get(entry, STR("model_name"));
    struct config_deployment d = {.at = entry};
    struct config_entry en;
    struct str one;

    unsigned errors = log->n_errors;

    config_judge(&c->file, SECTION_MODEL, entry, log, false);
    if (log->n_errors > errors)
        return;
    if (!conf_text(NULL, name, &d.group) || d.group.n == 0) {
        conf_note(log, CONF_ERROR, entry, "model_name is missing");
        return;
    }
    if (stars(d.group) > MAX_STARS) {
        conf_note(log, CONF_ERROR, name, "model_name: more than %d stars", (int)MAX_STARS);
        return;
    }
    if (conf_is_off(raw)) {
        conf_note(log, CONF_ERROR, entry, "litellm_params is missing");
        return;
    }
    if (!config_entry_read(&en, &c->file, entry, log))
        return;
    d.raw_params = en.own;
    d.params = en.params;
    d.info = en.info;
    config_judge(&c->file, SECTION_PARAMS, d.params, log, false);
    config_judge(&c->file, SECTION_INFO, d.info, log, false);
    d.litellm_model = text_of(d.params, "model");
    if (d.litellm_model.n == 0)
        conf_note(log, CONF_ERROR, d.raw_params, "litellm_params.model is missing");
    if (log->n_errors > errors || !is_wanted(c, d.info))
        return;
    organization = conf_get(d.params, STR("organization"));
    if (!setting_name(organization, 0, &one))
        add_deployment(m, &d, &en, (struct str){0}, 0, log);
    for (uint32_t i = 0; setting_name(organization, i, &one); i++)
        add_deployment(m, &d, &en, one, i, log);
}

static void add_entries(struct models *m)
{
    struct config *c = m->c;
    struct conf_log log = {.arena = &c->file.arena};
    unsigned broken = 0;

    CONF_FOREACH(m->list, entry)
    {
        const bool is_row = entry->source != CONF_OF_FILE;
        struct conf_log *to = is_row ? &c->file.rows : &log;
        uint32_t n = c->n_deployments;
        unsigned errors = to->n_errors;
        add_entry(m, entry, to);
        if (to->n_errors == errors)
            continue;
        c->n_deployments = n; /* all of its organizations, or none */
        broken += !is_row;
    }
    bool stop = m->strict || (broken && c->n_deployments == 0);
    for (const struct conf_note *it = log.first; it; it = it->next)
        if (it->severity == CONF_ERROR && stop)
            conf_note(&c->file.log, CONF_ERROR, NULL, STR_FMT, STR_ARG(it->text));
        else
            conf_note(&c->file.log, CONF_WARNING, NULL, STR_FMT "%s", STR_ARG(it->text),
                      it->severity == CONF_ERROR ? "; the deployment is left out" : "");
    if (c->n_deployments == 0 && !stop)
        conf_note(&c->file.log, CONF_WARNING, NULL, "no model can be served");
}

/* ---- groups, aliases ---- */

static struct config_group *group_named(const struct config *c, struct str name)
{
    for (uint32_t i = 0; i < c->n_groups; i++)
        if (str_eq(c->groups[i].name, name))
            return &c->groups[i];
    return NULL;
}

static void make_groups(struct config *c)
{
    c->groups = arena_zalloc(&c->file.arena, (c->n_deployments + 1) * sizeof *c->groups);
    uint32_t *members = arena_alloc(&c->file.arena, (c->n_deployments + 1) * sizeof *members);
    uint32_t placed = 0;

    if (!c->groups || !members)
        return;
    for (uint32_t i = 0; i < c->n_deployments; i++) {
        struct config_group *g = group_named(c, c->deployments[i].group);
        if (!g) {
            g = &c->groups[c->n_groups++];
            g->name = c->deployments[i].group;
            g->is_pattern = stars(g->name) > 0;
        }
        g->is_listed = g->is_listed || c->deployments[i].is_discoverable;
        g->n_members++;
    }
    for (uint32_t i = 0; i < c->n_groups; i++) {
        struct config_group *g = &c->groups[i];
        g->members = members + placed;
        for (uint32_t k = 0; k < c->n_deployments; k++)
            if (str_eq(c->deployments[k].group, g->name))
                members[placed++] = k;
        g->info_json = config_group_info(c, g);
    }
}

static bool is_served(const struct config *c, struct str name)
{
    for (uint32_t i = 0; i < c->n_groups; i++)
        if (c->groups[i].is_pattern ? glob_match(c->groups[i].name, name)
                                    : str_eq(c->groups[i].name, name))
            return true;
    for (uint32_t i = 0; i < c->n_deployments; i++)
        if (str_eq(c->deployments[i].id, name))
            return true;
    return false;
}

static void make_aliases(struct config *c)
{
    const struct conf_node *map = c->file.value[SETTING_ROUTER_model_group_alias];

    c->aliases = arena_zalloc(&c->file.arena, ((map ? map->n : 0) + 1) * sizeof *c->aliases);
    if (!c->aliases)
        return;
    CONF_FOREACH(map, it)
    {
        struct config_alias a = {.name = it->key, .is_listed = true};
        bool hidden = false;
        if (it->kind == CONF_MAP) {
            a.target = text_of(it, "model");
            if (conf_bool(&c->file.log, conf_get(it, STR("hidden")), &hidden))
                a.is_listed = !hidden;
        } else if (!conf_text(&c->file.log, it, &a.target)) {
            continue;
        }
        if (a.target.n == 0)
            conf_note(&c->file.log, CONF_ERROR, it,
                      "model_group_alias." STR_FMT ": a model or {model, hidden} is wanted",
                      STR_ARG(it->key));
        else if (!is_served(c, a.target))
            conf_note(&c->file.log, CONF_WARNING, it,
                      "model_group_alias." STR_FMT ": no model is named " STR_FMT
                      "; the alias is left out",
                      STR_ARG(it->key), STR_ARG(a.target));
        else
            c->aliases[c->n_aliases++] = a;
    }
}

static void check_credentials(struct models *m)
{
    CONF_FOREACH(m->c->file.value[SETTING_TOP_credential_list], it)
    config_judge(&m->c->file, SECTION_CREDENTIAL, it, &m->c->file.log, false);
}

void config_read_models(struct config *c)
{
    struct models m = {
        .c = c,
        .list = c->file.value[SETTING_TOP_model_list],
        .strict = !config_bool(&c->file, SETTING_ROUTER_ignore_invalid_deployments),
    };

    check_credentials(&m);
    add_entries(&m);
    make_groups(c);
    make_aliases(c);
}
