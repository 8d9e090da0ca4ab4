/* Settings of a generation: sections of config.yaml and the environment, by settings.def. */

#include "common/gateway/seal.h"

#include "snapshot/build_priv.h"

struct snap_ref build_name_list(struct build *b, const struct conf_node *const *lists,
                                uint32_t n_lists)
{
    struct snap_ref *out;
    struct str *names, one;
    uint32_t n = 0, cap = 0;

    for (uint32_t l = 0; l < n_lists; l++)
        for (uint32_t i = 0; setting_name(lists[l], i, &one); i++)
            cap++;
    names = arena_alloc(&b->scratch, (cap + 1) * sizeof *names);
    out = arena_alloc(&b->scratch, (cap + 1) * sizeof *out);
    if (!names || !out)
        return (struct snap_ref){0};
    for (uint32_t l = 0; l < n_lists; l++)
        for (uint32_t i = 0; setting_name(lists[l], i, &one); i++) {
            uint32_t k = 0;
            while (k < n && !str_eq(names[k], one))
                k++;
            if (k == n)
                names[n++] = one;
        }
    for (uint32_t i = 0; i < n; i++)
        out[i] = flat_put(&b->file, names[i]);
    return flat_array(&b->file, out, n, sizeof *out);
}

static struct str lower(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.n + 1);

    for (size_t i = 0; p && i < s.n; i++)
        p[i] = char_lower(s.p[i]);
    return (struct str){p, p ? s.n : 0};
}

static struct str joined(struct build *b, const struct conf_node *names)
{
    struct str out = {0}, one;

    for (uint32_t i = 0; setting_name(names, i, &one); i++)
        out = arena_printf(&b->scratch, STR_FMT "%s" STR_FMT, STR_ARG(out), out.n ? "," : "",
                           STR_ARG(one));
    return out;
}

/* "/prefix" without a slash at the end, however it was written. */
static struct str root_path(struct build *b)
{
    struct str s = config_text(&b->c->file, SETTING_ENV_SERVER_ROOT_PATH);

    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    if (s.n && s.p[0] != '/')
        return arena_printf(&b->scratch, "/" STR_FMT, STR_ARG(s));
    return s;
}

static uint32_t setting_flags(const struct config *c)
{
    static const struct {
        enum setting_id id;
        uint32_t flag;
    } rows[] = {
        {SETTING_LITELLM_require_auth_for_metrics_endpoint, SNAP_METRICS_AUTH},
        {SETTING_GENERAL_forward_client_headers_to_llm_api, SNAP_FORWARD_CLIENT_HEADERS},
        {SETTING_LITELLM_forward_client_headers_to_llm_api, SNAP_FORWARD_CLIENT_HEADERS},
        {SETTING_GENERAL_forward_openai_org_id, SNAP_FORWARD_OPENAI_ORG},
        {SETTING_LITELLM_force_ipv4, SNAP_FORCE_IPV4},
        {SETTING_LITELLM_return_raw_model_name, SNAP_RAW_MODEL_NAME},
        {SETTING_GENERAL_health_check_details, SNAP_HEALTH_DETAILS},
        {SETTING_ENV_DISABLE_LLM_API_ENDPOINTS, SNAP_DISABLE_LLM_ROUTES},
        {SETTING_GENERAL_always_include_stream_usage, SNAP_ALWAYS_STREAM_USAGE},
        {SETTING_GENERAL_enforce_user_param, SNAP_ENFORCE_USER},
        {SETTING_GENERAL_reject_clientside_metadata_tags, SNAP_REJECT_CLIENT_TAGS},
        {SETTING_GENERAL_apply_user_budget_to_team_keys, SNAP_USER_BUDGET_OF_TEAM_KEYS},
        {SETTING_GENERAL_use_x_forwarded_for, SNAP_FORWARDED_FOR},
        {SETTING_GENERAL_allow_unmanaged_response_ids, SNAP_UNMANAGED_RESPONSES},
        {SETTING_LITELLM_turn_off_message_logging, SNAP_REDACT},
        {SETTING_LITELLM_global_disable_no_log_param, SNAP_IGNORE_NO_LOG},
    };
    uint32_t flags = config_file_master_key(&c->file).n ? SNAP_HAS_MASTER_KEY : 0;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (config_bool(&c->file, rows[i].id))
            flags |= rows[i].flag;
    if (c->file.value[SETTING_GENERAL_always_include_stream_usage] &&
        !(flags & SNAP_ALWAYS_STREAM_USAGE))
        flags |= SNAP_NEVER_STREAM_USAGE;
    if (config_stores_prompts(c))
        flags |= SNAP_TRANSCRIPTS;
    struct str counted = config_text(&c->file, SETTING_GENERAL_token_rate_limit_type);
    flags |= str_eq(counted, STR("input"))    ? SNAP_LIMIT_INPUT
             : str_eq(counted, STR("output")) ? SNAP_LIMIT_OUTPUT
                                              : 0;
    return flags;
}

static uint64_t max_body_bytes(const struct config *c)
{
    uint64_t ours = config_u32(&c->file, SETTING_WEIR_max_body_mb);
    uint64_t theirs = config_u32(&c->file, SETTING_GENERAL_max_request_size_mb);

    return (theirs ? MIN(ours, theirs) : ours) << 20;
}

static uint32_t client_gone_drains(const struct config *c)
{
    bool drains = str_eq(config_text(&c->file, SETTING_WEIR_client_gone), STR("drain"));

    return drains ? config_u32(&c->file, SETTING_WEIR_client_gone_drains) : 0;
}

static struct snap_ref put_setting_names(struct build *b, enum setting_id id)
{
    return build_name_list(b, &b->c->file.value[id], 1);
}

/* Headers that name the end user: of the mappings those for customers, else the one header. */
static struct snap_ref put_end_user_headers(struct build *b)
{
    const struct config_file *f = &b->c->file;
    const struct conf_node *mappings = f->value[SETTING_GENERAL_user_header_mappings];
    struct snap_ref out[16];
    uint32_t n = 0;
    struct str role, name;

    CONF_FOREACH(mappings, it)
    if (n < ARRAY_LEN(out) && conf_text(NULL, conf_get(it, STR("litellm_user_role")), &role) &&
        str_ieq(role, STR("customer")) &&
        conf_text(NULL, conf_get(it, STR("header_name")), &name) && name.n)
        out[n++] = flat_put(&b->file, lower(&b->scratch, name));
    name = config_text(f, SETTING_GENERAL_user_header_name);
    if (!n && name.n)
        out[n++] = flat_put(&b->file, lower(&b->scratch, name));
    return flat_array(&b->file, out, n, sizeof *out);
}

static struct snap_ref put_service_params(struct build *b)
{
    const struct conf_node *params = conf_get(
        b->c->file.value[SETTING_GENERAL_service_account_settings], STR("enforced_params"));

    return build_name_list(b, &params, 1);
}

/* What seals response ids, the same on every pod; empty: everybody is one tenant, or shall be. */
static struct snap_ref put_response_key(struct build *b)
{
    unsigned char key[32];
    struct seal_key secret;

    if (!config_file_master_key(&b->c->file).n ||
        config_bool(&b->c->file, SETTING_GENERAL_disable_responses_id_security) ||
        !seal_key_init(&secret, config_secret(b->c)) ||
        !seal_key_derive(&secret, "weir-response-ids", key))
        return (struct snap_ref){0};
    return flat_put(&b->file, (struct str){(const char *)key, sizeof key});
}

/* A part of one, above 0; what is none throttles nothing: such a key is refused. */
static uint32_t throttle(const struct config *c)
{
    int64_t v;

    return conf_scaled(NULL, c->file.value[SETTING_LITELLM_budget_exceeded_throttle_percentage], 6,
                       &v) &&
                   v > 0 && v <= 1000000
               ? (uint32_t)v
               : 0;
}

/* Dollars as nano-dollars; -1: not given. */
static int64_t setting_nusd(const struct build *b, enum setting_id id)
{
    int64_t v;

    return conf_scaled(NULL, b->c->file.value[id], 9, &v) && v >= 0 ? v : -1;
}

/* Whether a request that has neither a key of its own nor an end user nor tags can be refused or
 * charged by policy: each setting that checks.c and limits.c ask of everybody stands here. */
static bool binds_all(const struct snap_settings *s)
{
    return s->flags & (SNAP_ENFORCE_USER | SNAP_REJECT_CLIENT_TAGS) || s->max_budget_nusd > 0 ||
           s->max_end_user_budget_nusd >= 0 || s->global_parallel || s->enforced_params.n ||
           s->end_user_budget.n;
}

void build_settings(struct build *b, struct snap_settings *s)
{
    const struct config *c = b->c;
    struct flat *f = &b->file;
    struct snap_ref chat = flat_put(f, config_text(&c->file, SETTING_GENERAL_completion_model));

    *s = (struct snap_settings){
        .master_key = flat_put(f, config_file_master_key(&c->file)),
        .host = flat_put(f, config_text(&c->file, SETTING_WEIR_host)),
        .ca = flat_put(f, c->ca),
        .response_key = put_response_key(b),
        .key_header = flat_put(
            f, lower(&b->scratch, config_text(&c->file, SETTING_GENERAL_litellm_key_header_name))),
        .server_root_path = flat_put(f, root_path(b)),
        .access_log = flat_put(f, config_text(&c->file, SETTING_WEIR_access_log)),
        .admin_host = flat_put(f, c->admin_host),
        .admin_path = flat_put(f, c->admin_path),
        .admin_origin = c->admin_origin,
        .nameservers = flat_put(f, joined(b, c->file.value[SETTING_WEIR_nameservers])),
        .default_model[API_CHAT] = chat,
        .default_model[API_COMPLETIONS] = chat,
        .default_model[API_EMBEDDINGS] =
            flat_put(f, config_text(&c->file, SETTING_GENERAL_embedding_model)),
        .default_model[API_MODERATIONS] =
            flat_put(f, config_text(&c->file, SETTING_GENERAL_moderation_model)),
        .allowed_ips = put_setting_names(b, SETTING_GENERAL_allowed_ips),
        .allowed_routes = put_setting_names(b, SETTING_GENERAL_allowed_routes),
        .admin_routes = put_setting_names(b, SETTING_GENERAL_admin_only_routes),
        .enforced_params = put_setting_names(b, SETTING_GENERAL_enforced_params),
        .service_params = put_service_params(b),
        .end_user_headers = put_end_user_headers(b),
        .end_user_budget =
            flat_put(f, config_text(&c->file, SETTING_LITELLM_max_end_user_budget_id)),
        .throttle_millionths = throttle(c),
        .max_budget_nusd = setting_nusd(b, SETTING_LITELLM_max_budget),
        .max_end_user_budget_nusd = setting_nusd(b, SETTING_LITELLM_max_end_user_budget),
        .limit_window_s = config_ms(&c->file, SETTING_ENV_LITELLM_RATE_LIMIT_WINDOW_SIZE) / 1000,
        .global_parallel = config_u32(&c->file, SETTING_GENERAL_global_max_parallel_requests),
        .flags = setting_flags(c),
        .num_retries = config_u32(&c->file, CONFIG_FIRST(&c->file, SETTING_ROUTER_num_retries,
                                                         SETTING_LITELLM_num_retries,
                                                         SETTING_ENV_DEFAULT_MAX_RETRIES,
                                                         SETTING_ROUTER_num_retries)),
        .retry_after_ms = config_ms(&c->file, SETTING_ROUTER_retry_after),
        .keepalive_ping_ms =
            config_ms(&c->file, SETTING_LITELLM_sse_keepalive_ping_interval_seconds),
        .max_stream_ms = config_ms(&c->file, SETTING_ENV_LITELLM_MAX_STREAMING_DURATION_SECONDS),
        .connect_timeout_ms = config_ms(&c->file, SETTING_WEIR_connect_timeout),
        .tls_timeout_ms = config_ms(&c->file, SETTING_WEIR_tls_timeout),
        .header_timeout_ms = config_ms(&c->file, SETTING_WEIR_header_timeout),
        .body_timeout_ms = config_ms(&c->file, SETTING_WEIR_body_timeout),
        .idle_timeout_ms = config_ms(&c->file, SETTING_WEIR_idle_timeout),
        .write_timeout_ms = config_ms(&c->file, SETTING_WEIR_write_timeout),
        .upstream_idle_ms =
            config_ms(&c->file, CONFIG_FIRST(&c->file, SETTING_WEIR_upstream_idle_timeout,
                                             SETTING_ENV_AIOHTTP_KEEPALIVE_TIMEOUT,
                                             SETTING_WEIR_upstream_idle_timeout)),
        .drain_ms = config_ms(&c->file, SETTING_WEIR_drain_seconds),
        .max_connections = config_u32(&c->file, SETTING_WEIR_max_connections),
        .workers = config_workers(c),
        .health_probe_timeout_ms = config_ms(&c->file, SETTING_ENV_HEALTH_CHECK_TIMEOUT_SECONDS),
        .port = config_port(c),
        .max_body_bytes = max_body_bytes(c),
        .max_inflight_bytes = (uint64_t)config_u32(&c->file, SETTING_WEIR_max_inflight_mb) << 20,
        .response_store_bytes = (uint64_t)config_u32(&c->file, SETTING_WEIR_response_store_mb)
                                << 20,
        .spool_max_bytes = (uint64_t)config_u32(&c->file, SETTING_WEIR_spool_max_mb) << 20,
        .client_gone_drains = client_gone_drains(c),
        .transcript_max_bytes = config_u32(&c->file, SETTING_WEIR_transcript_max_kb) << 10,
    };
    if (binds_all(s))
        s->flags |= SNAP_BINDS_ALL;
}
