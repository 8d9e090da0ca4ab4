-- LiteLLM's schema of release 1.110, on a database without tables: the same names, types, defaults, indexes and
-- references. A database that LiteLLM made is never touched by this file.

CREATE TYPE "JobStatus" AS ENUM ('ACTIVE', 'INACTIVE');

CREATE TABLE "LiteLLM_AccessGroupTable" (
    access_group_id text NOT NULL,
    access_group_name text NOT NULL,
    description text,
    access_mcp_server_ids text[] DEFAULT '{}',
    access_agent_ids text[] DEFAULT '{}',
    assigned_team_ids text[] DEFAULT '{}',
    assigned_key_ids text[] DEFAULT '{}',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    access_model_names text[] DEFAULT '{}',
    mcp_tool_permissions jsonb,
    access_skill_names text[] DEFAULT '{}',
    CONSTRAINT "LiteLLM_AccessGroupTable_pkey" PRIMARY KEY (access_group_id)
);
CREATE UNIQUE INDEX "LiteLLM_AccessGroupTable_access_group_name_key" ON "LiteLLM_AccessGroupTable" (access_group_name);

CREATE TABLE "LiteLLM_AdaptiveRouterSession" (
    session_id text NOT NULL,
    router_name text NOT NULL,
    model_name text NOT NULL,
    classified_type text NOT NULL,
    misalignment_count integer NOT NULL DEFAULT 0,
    stagnation_count integer NOT NULL DEFAULT 0,
    disengagement_count integer NOT NULL DEFAULT 0,
    satisfaction_count integer NOT NULL DEFAULT 0,
    failure_count integer NOT NULL DEFAULT 0,
    loop_count integer NOT NULL DEFAULT 0,
    exhaustion_count integer NOT NULL DEFAULT 0,
    last_user_content text,
    last_assistant_content text,
    tool_call_history jsonb NOT NULL DEFAULT '[]',
    pending_tool_calls jsonb NOT NULL DEFAULT '{}',
    turn_count integer NOT NULL DEFAULT 0,
    last_processed_turn integer NOT NULL DEFAULT '-1'::integer,
    clean_credit_awarded boolean NOT NULL DEFAULT false,
    terminal_status integer,
    last_activity_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_AdaptiveRouterSession_pkey" PRIMARY KEY (session_id, router_name, model_name)
);
CREATE INDEX idx_adaptive_router_session_activity ON "LiteLLM_AdaptiveRouterSession" (last_activity_at);

CREATE TABLE "LiteLLM_AdaptiveRouterState" (
    router_name text NOT NULL,
    request_type text NOT NULL,
    model_name text NOT NULL,
    alpha double precision NOT NULL,
    beta double precision NOT NULL,
    total_samples integer NOT NULL DEFAULT 0,
    last_updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_AdaptiveRouterState_pkey" PRIMARY KEY (router_name, request_type, model_name)
);

CREATE TABLE "LiteLLM_AgentIdentity" (
    agent_id text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    provider text NOT NULL,
    issuer text NOT NULL,
    tenant_id text NOT NULL,
    client_id text NOT NULL,
    service_principal_id text,
    required_roles text[] DEFAULT '{}',
    required_scopes text[] DEFAULT ARRAY['user_impersonation'],
    revision text NOT NULL,
    last_authenticated_at timestamp(3),
    CONSTRAINT "LiteLLM_AgentIdentity_pkey" PRIMARY KEY (agent_id)
);
CREATE UNIQUE INDEX "LiteLLM_AgentIdentity_issuer_service_principal_id_key" ON "LiteLLM_AgentIdentity" (issuer, service_principal_id);
CREATE UNIQUE INDEX "LiteLLM_AgentIdentity_provider_tenant_id_client_id_key" ON "LiteLLM_AgentIdentity" (provider, tenant_id, client_id);

CREATE TABLE "LiteLLM_AgentsTable" (
    agent_id text NOT NULL,
    agent_name text NOT NULL,
    litellm_params jsonb,
    agent_card_params jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text NOT NULL,
    agent_access_groups text[] DEFAULT '{}',
    object_permission_id text,
    spend double precision NOT NULL DEFAULT 0.0,
    static_headers jsonb DEFAULT '{}',
    extra_headers text[] DEFAULT '{}',
    tpm_limit integer,
    rpm_limit integer,
    session_tpm_limit integer,
    session_rpm_limit integer,
    access_group_ids text[] DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    execution_mode text NOT NULL DEFAULT 'autonomous',
    identity_managed boolean NOT NULL DEFAULT false,
    kill_switch jsonb,
    CONSTRAINT "LiteLLM_AgentsTable_pkey" PRIMARY KEY (agent_id)
);
CREATE UNIQUE INDEX "LiteLLM_AgentsTable_agent_name_key" ON "LiteLLM_AgentsTable" (agent_name);

CREATE TABLE "LiteLLM_AuditLog" (
    id text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    changed_by text NOT NULL DEFAULT '',
    changed_by_api_key text NOT NULL DEFAULT '',
    action text NOT NULL,
    table_name text NOT NULL,
    object_id text NOT NULL,
    before_value jsonb,
    updated_values jsonb,
    CONSTRAINT "LiteLLM_AuditLog_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_AutoRouterBaselineComparison" (
    scope text NOT NULL,
    api_key text NOT NULL,
    session_id text NOT NULL,
    router_name text NOT NULL,
    initial_equivalent boolean NOT NULL,
    revision bigint NOT NULL DEFAULT 0,
    published_revision bigint NOT NULL DEFAULT 0,
    history text,
    attempted_at timestamp(3),
    retired boolean NOT NULL DEFAULT false,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_AutoRouterBaselineComparison_pkey" PRIMARY KEY (scope)
);
CREATE INDEX idx_autorouter_baseline_dirty ON "LiteLLM_AutoRouterBaselineComparison" (attempted_at, updated_at, scope) WHERE ((NOT retired) AND (revision <> published_revision));
CREATE INDEX idx_autorouter_baseline_scope ON "LiteLLM_AutoRouterBaselineComparison" (api_key, session_id, router_name);
CREATE INDEX idx_autorouter_baseline_updated ON "LiteLLM_AutoRouterBaselineComparison" (updated_at);

CREATE TABLE "LiteLLM_AutoRouterBaselineObservation" (
    request_id text NOT NULL,
    scope text NOT NULL,
    started_at double precision NOT NULL,
    revision bigint NOT NULL,
    data text NOT NULL,
    publication text,
    conflicted boolean NOT NULL DEFAULT false,
    CONSTRAINT "LiteLLM_AutoRouterBaselineObservation_pkey" PRIMARY KEY (request_id)
);
CREATE INDEX idx_autorouter_baseline_event_order ON "LiteLLM_AutoRouterBaselineObservation" (scope, started_at, request_id);
CREATE INDEX idx_autorouter_baseline_event_revision ON "LiteLLM_AutoRouterBaselineObservation" (scope, revision, started_at);

CREATE TABLE "LiteLLM_AutoRouterDailySpend" (
    date text NOT NULL,
    api_key text NOT NULL,
    user_id text NOT NULL,
    router_name text NOT NULL,
    router_type text NOT NULL,
    turns integer NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0,
    saved_spend double precision NOT NULL DEFAULT 0,
    savings_estimated_turns integer NOT NULL DEFAULT 0,
    savings_estimated_actual_spend double precision NOT NULL DEFAULT 0,
    savings_estimated_saved_spend double precision NOT NULL DEFAULT 0,
    classifier_cost double precision NOT NULL DEFAULT 0,
    classifier_cost_recorded_turns integer NOT NULL DEFAULT 0,
    total_tokens bigint NOT NULL DEFAULT 0,
    token_recorded_turns integer NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_AutoRouterDailySpend_pkey" PRIMARY KEY (date, api_key, user_id, router_name, router_type)
);

CREATE TABLE "LiteLLM_AutoRouterSession" (
    api_key text NOT NULL,
    session_id text NOT NULL,
    router_name text NOT NULL,
    router_type text NOT NULL,
    first_turn_at timestamp(3) NOT NULL,
    last_turn_at timestamp(3) NOT NULL,
    last_model text NOT NULL,
    models jsonb NOT NULL DEFAULT '{}',
    turns integer NOT NULL DEFAULT 0,
    unordered_turns integer NOT NULL DEFAULT 0,
    covered_turns integer NOT NULL DEFAULT 0,
    cache_hits integer NOT NULL DEFAULT 0,
    same_model_turns integer NOT NULL DEFAULT 0,
    same_model_hits integer NOT NULL DEFAULT 0,
    first_visit_turns integer NOT NULL DEFAULT 0,
    first_visit_hits integer NOT NULL DEFAULT 0,
    return_turns integer NOT NULL DEFAULT 0,
    return_hits integer NOT NULL DEFAULT 0,
    return_expired_misses integer NOT NULL DEFAULT 0,
    return_within_ttl_misses integer NOT NULL DEFAULT 0,
    ttl_5m_turns integer NOT NULL DEFAULT 0,
    ttl_1h_turns integer NOT NULL DEFAULT 0,
    total_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0,
    saved_spend double precision NOT NULL DEFAULT 0,
    tier_turns jsonb NOT NULL DEFAULT '{}',
    classifier_cost double precision NOT NULL DEFAULT 0,
    classifier_cost_recorded_turns integer NOT NULL DEFAULT 0,
    baseline_models jsonb NOT NULL DEFAULT '{}',
    savings_estimated_turns integer NOT NULL DEFAULT 0,
    savings_estimated_actual_spend double precision NOT NULL DEFAULT 0,
    savings_estimated_saved_spend double precision NOT NULL DEFAULT 0,
    savings_estimated_baseline_models jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT "LiteLLM_AutoRouterSession_pkey" PRIMARY KEY (api_key, session_id, router_name)
);
CREATE INDEX idx_autorouter_session_last_turn ON "LiteLLM_AutoRouterSession" (last_turn_at);

CREATE TABLE "LiteLLM_AutoRouterUserSession" (
    user_id text NOT NULL,
    api_key text NOT NULL,
    session_id text NOT NULL,
    router_name text NOT NULL,
    router_type text NOT NULL,
    first_turn_at timestamp(3) NOT NULL,
    last_turn_at timestamp(3) NOT NULL,
    last_model text NOT NULL,
    models jsonb NOT NULL DEFAULT '{}',
    turns integer NOT NULL DEFAULT 0,
    unordered_turns integer NOT NULL DEFAULT 0,
    covered_turns integer NOT NULL DEFAULT 0,
    cache_hits integer NOT NULL DEFAULT 0,
    same_model_turns integer NOT NULL DEFAULT 0,
    same_model_hits integer NOT NULL DEFAULT 0,
    first_visit_turns integer NOT NULL DEFAULT 0,
    first_visit_hits integer NOT NULL DEFAULT 0,
    return_turns integer NOT NULL DEFAULT 0,
    return_hits integer NOT NULL DEFAULT 0,
    return_expired_misses integer NOT NULL DEFAULT 0,
    return_within_ttl_misses integer NOT NULL DEFAULT 0,
    ttl_5m_turns integer NOT NULL DEFAULT 0,
    ttl_1h_turns integer NOT NULL DEFAULT 0,
    total_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0,
    saved_spend double precision NOT NULL DEFAULT 0,
    savings_estimated_turns integer NOT NULL DEFAULT 0,
    savings_estimated_actual_spend double precision NOT NULL DEFAULT 0,
    savings_estimated_saved_spend double precision NOT NULL DEFAULT 0,
    savings_estimated_baseline_models jsonb NOT NULL DEFAULT '{}',
    classifier_cost double precision NOT NULL DEFAULT 0,
    classifier_cost_recorded_turns integer NOT NULL DEFAULT 0,
    tier_turns jsonb NOT NULL DEFAULT '{}',
    baseline_models jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT "LiteLLM_AutoRouterUserSession_pkey" PRIMARY KEY (user_id, api_key, session_id, router_name)
);
CREATE INDEX idx_autorouter_user_session_last_turn ON "LiteLLM_AutoRouterUserSession" (last_turn_at);
CREATE INDEX idx_autorouter_user_session_user_last_turn ON "LiteLLM_AutoRouterUserSession" (user_id, last_turn_at);

CREATE TABLE "LiteLLM_BackgroundInteractionSettlement" (
    interaction_id text NOT NULL,
    custom_llm_provider text NOT NULL,
    create_context jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    claimed_at timestamp(3),
    claimed_by text,
    settled_at timestamp(3),
    outcome text,
    CONSTRAINT "LiteLLM_BackgroundInteractionSettlement_pkey" PRIMARY KEY (interaction_id)
);
CREATE INDEX idx_background_interaction_settlement_claimed_at ON "LiteLLM_BackgroundInteractionSettlement" (claimed_at);

CREATE TABLE "LiteLLM_BudgetTable" (
    budget_id text NOT NULL,
    max_budget double precision,
    soft_budget double precision,
    max_parallel_requests integer,
    tpm_limit bigint,
    rpm_limit bigint,
    model_max_budget jsonb,
    budget_duration text,
    budget_reset_at timestamp(3),
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text NOT NULL,
    allowed_models text[] DEFAULT '{}',
    tpd_limit bigint,
    temp_budget_increase double precision,
    temp_budget_expiry timestamp(3),
    CONSTRAINT "LiteLLM_BudgetTable_pkey" PRIMARY KEY (budget_id)
);

CREATE TABLE "LiteLLM_BudgetWindowSpend" (
    entity_type text NOT NULL,
    entity_id text NOT NULL,
    window_duration text NOT NULL,
    window_start timestamp(3) NOT NULL,
    spend double precision NOT NULL DEFAULT 0.0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_BudgetWindowSpend_pkey" PRIMARY KEY (entity_type, entity_id, window_duration)
);

CREATE TABLE "LiteLLM_CacheConfig" (
    id text NOT NULL DEFAULT 'cache_config',
    cache_settings jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_CacheConfig_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_ClaudeCodePluginTable" (
    id text NOT NULL,
    name text NOT NULL,
    version text,
    description text,
    manifest_json text,
    files_json text DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    created_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    CONSTRAINT "LiteLLM_ClaudeCodePluginTable_pkey" PRIMARY KEY (id)
);
CREATE UNIQUE INDEX "LiteLLM_ClaudeCodePluginTable_name_key" ON "LiteLLM_ClaudeCodePluginTable" (name);

CREATE TABLE "LiteLLM_Config" (
    param_name text NOT NULL,
    param_value jsonb,
    last_run_at timestamp(3),
    reload_revision bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_Config_pkey" PRIMARY KEY (param_name)
);

CREATE TABLE "LiteLLM_ConfigOverrides" (
    config_type text NOT NULL,
    config_value jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_ConfigOverrides_pkey" PRIMARY KEY (config_type)
);

CREATE TABLE "LiteLLM_CredentialsTable" (
    credential_id text NOT NULL,
    credential_name text NOT NULL,
    credential_values jsonb NOT NULL,
    credential_info jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text NOT NULL,
    display_name text,
    CONSTRAINT "LiteLLM_CredentialsTable_pkey" PRIMARY KEY (credential_id)
);
CREATE UNIQUE INDEX "LiteLLM_CredentialsTable_credential_name_key" ON "LiteLLM_CredentialsTable" (credential_name);

CREATE TABLE "LiteLLM_CronJob" (
    cronjob_id text NOT NULL,
    pod_id text NOT NULL,
    status "JobStatus" NOT NULL DEFAULT 'INACTIVE'::"JobStatus",
    last_updated timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    ttl timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_CronJob_pkey" PRIMARY KEY (cronjob_id)
);

CREATE TABLE "LiteLLM_DailyAgentSpend" (
    id text NOT NULL,
    agent_id text,
    date text NOT NULL,
    api_key text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    mcp_namespaced_tool_name text,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0.0,
    api_requests bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    endpoint text,
    compression_saved_tokens bigint NOT NULL DEFAULT 0,
    compression_savings_spend double precision NOT NULL DEFAULT 0.0,
    prompt_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    autorouter_savings_spend double precision NOT NULL DEFAULT 0.0,
    gateway_injected_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    total_response_time_ms bigint NOT NULL DEFAULT 0,
    timed_requests bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_DailyAgentSpend_pkey" PRIMARY KEY (id)
);
CREATE UNIQUE INDEX "LiteLLM_DailyAgentSpend_agent_id_date_api_key_model_custom__key" ON "LiteLLM_DailyAgentSpend" (agent_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint);
CREATE INDEX "LiteLLM_DailyAgentSpend_agent_id_date_idx" ON "LiteLLM_DailyAgentSpend" (agent_id, date);
CREATE INDEX "LiteLLM_DailyAgentSpend_api_key_idx" ON "LiteLLM_DailyAgentSpend" (api_key);
CREATE INDEX "LiteLLM_DailyAgentSpend_date_idx" ON "LiteLLM_DailyAgentSpend" (date);
CREATE INDEX "LiteLLM_DailyAgentSpend_endpoint_idx" ON "LiteLLM_DailyAgentSpend" (endpoint);
CREATE INDEX "LiteLLM_DailyAgentSpend_mcp_namespaced_tool_name_idx" ON "LiteLLM_DailyAgentSpend" (mcp_namespaced_tool_name);
CREATE INDEX "LiteLLM_DailyAgentSpend_model_idx" ON "LiteLLM_DailyAgentSpend" (model);

CREATE TABLE "LiteLLM_DailyEndUserSpend" (
    id text NOT NULL,
    end_user_id text,
    date text NOT NULL,
    api_key text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    mcp_namespaced_tool_name text,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0.0,
    api_requests bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    endpoint text,
    compression_saved_tokens bigint NOT NULL DEFAULT 0,
    compression_savings_spend double precision NOT NULL DEFAULT 0.0,
    prompt_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    autorouter_savings_spend double precision NOT NULL DEFAULT 0.0,
    gateway_injected_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    total_response_time_ms bigint NOT NULL DEFAULT 0,
    timed_requests bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_DailyEndUserSpend_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DailyEndUserSpend_api_key_idx" ON "LiteLLM_DailyEndUserSpend" (api_key);
CREATE INDEX "LiteLLM_DailyEndUserSpend_date_idx" ON "LiteLLM_DailyEndUserSpend" (date);
CREATE UNIQUE INDEX "LiteLLM_DailyEndUserSpend_end_user_id_date_api_key_model_cu_key" ON "LiteLLM_DailyEndUserSpend" (end_user_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint);
CREATE INDEX "LiteLLM_DailyEndUserSpend_end_user_id_date_idx" ON "LiteLLM_DailyEndUserSpend" (end_user_id, date);
CREATE INDEX "LiteLLM_DailyEndUserSpend_endpoint_idx" ON "LiteLLM_DailyEndUserSpend" (endpoint);
CREATE INDEX "LiteLLM_DailyEndUserSpend_mcp_namespaced_tool_name_idx" ON "LiteLLM_DailyEndUserSpend" (mcp_namespaced_tool_name);
CREATE INDEX "LiteLLM_DailyEndUserSpend_model_idx" ON "LiteLLM_DailyEndUserSpend" (model);

CREATE TABLE "LiteLLM_DailyGatewayFailedRequests" (
    date text NOT NULL,
    category text NOT NULL,
    route text NOT NULL,
    status_code integer NOT NULL,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyGatewayFailedRequests_pkey" PRIMARY KEY (date, category, route, status_code)
);
CREATE INDEX "LiteLLM_DailyGatewayFailedRequests_date_idx" ON "LiteLLM_DailyGatewayFailedRequests" (date);

CREATE TABLE "LiteLLM_DailyGatewayRequests" (
    date text NOT NULL,
    category text NOT NULL,
    route text NOT NULL,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyGatewayRequests_pkey" PRIMARY KEY (date, category, route)
);
CREATE INDEX "LiteLLM_DailyGatewayRequests_date_idx" ON "LiteLLM_DailyGatewayRequests" (date);

CREATE TABLE "LiteLLM_DailyGlobalSpend" (
    id text NOT NULL,
    date text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    mcp_namespaced_tool_name text,
    endpoint text,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
    compression_saved_tokens bigint NOT NULL DEFAULT 0,
    compression_savings_spend double precision NOT NULL DEFAULT 0.0,
    prompt_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    gateway_injected_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    autorouter_savings_spend double precision NOT NULL DEFAULT 0.0,
    spend double precision NOT NULL DEFAULT 0.0,
    api_requests bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    total_response_time_ms bigint NOT NULL DEFAULT 0,
    timed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyGlobalSpend_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DailyGlobalSpend_date_idx" ON "LiteLLM_DailyGlobalSpend" (date);
CREATE UNIQUE INDEX "LiteLLM_DailyGlobalSpend_date_model_model_group_custom_llm__key" ON "LiteLLM_DailyGlobalSpend" (date, model, model_group, custom_llm_provider, mcp_namespaced_tool_name, endpoint);

CREATE TABLE "LiteLLM_DailyGuardrailMetrics" (
    guardrail_id text NOT NULL,
    date text NOT NULL,
    requests_evaluated bigint NOT NULL DEFAULT 0,
    passed_count bigint NOT NULL DEFAULT 0,
    blocked_count bigint NOT NULL DEFAULT 0,
    flagged_count bigint NOT NULL DEFAULT 0,
    avg_score double precision,
    avg_latency_ms double precision,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyGuardrailMetrics_pkey" PRIMARY KEY (guardrail_id, date)
);
CREATE INDEX "LiteLLM_DailyGuardrailMetrics_date_idx" ON "LiteLLM_DailyGuardrailMetrics" (date);
CREATE INDEX "LiteLLM_DailyGuardrailMetrics_guardrail_id_idx" ON "LiteLLM_DailyGuardrailMetrics" (guardrail_id);

CREATE TABLE "LiteLLM_DailyGuardrailUsageUnits" (
    guardrail_id text NOT NULL,
    date text NOT NULL,
    team_id text NOT NULL,
    api_key text NOT NULL,
    usage_unit text NOT NULL,
    units bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    cost double precision,
    untracked_units bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_DailyGuardrailUsageUnits_pkey" PRIMARY KEY (guardrail_id, date, team_id, api_key, usage_unit)
);
CREATE INDEX "LiteLLM_DailyGuardrailUsageUnits_date_idx" ON "LiteLLM_DailyGuardrailUsageUnits" (date);

CREATE TABLE "LiteLLM_DailyModelUsage" (
    date text NOT NULL,
    model_group text NOT NULL,
    model text NOT NULL,
    custom_llm_provider text NOT NULL,
    task_type text NOT NULL,
    spend double precision NOT NULL DEFAULT 0.0,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    request_count bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyModelUsage_pkey" PRIMARY KEY (date, model_group, model, custom_llm_provider, task_type)
);
CREATE INDEX "LiteLLM_DailyModelUsage_date_idx" ON "LiteLLM_DailyModelUsage" (date);
CREATE INDEX "LiteLLM_DailyModelUsage_model_group_idx" ON "LiteLLM_DailyModelUsage" (model_group);

CREATE TABLE "LiteLLM_DailyOrganizationSpend" (
    id text NOT NULL,
    organization_id text,
    date text NOT NULL,
    api_key text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    mcp_namespaced_tool_name text,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0.0,
    api_requests bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    endpoint text,
    compression_saved_tokens bigint NOT NULL DEFAULT 0,
    compression_savings_spend double precision NOT NULL DEFAULT 0.0,
    prompt_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    autorouter_savings_spend double precision NOT NULL DEFAULT 0.0,
    gateway_injected_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    total_response_time_ms bigint NOT NULL DEFAULT 0,
    timed_requests bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_DailyOrganizationSpend_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DailyOrganizationSpend_api_key_idx" ON "LiteLLM_DailyOrganizationSpend" (api_key);
CREATE INDEX "LiteLLM_DailyOrganizationSpend_date_idx" ON "LiteLLM_DailyOrganizationSpend" (date);
CREATE INDEX "LiteLLM_DailyOrganizationSpend_endpoint_idx" ON "LiteLLM_DailyOrganizationSpend" (endpoint);
CREATE INDEX "LiteLLM_DailyOrganizationSpend_mcp_namespaced_tool_name_idx" ON "LiteLLM_DailyOrganizationSpend" (mcp_namespaced_tool_name);
CREATE INDEX "LiteLLM_DailyOrganizationSpend_model_idx" ON "LiteLLM_DailyOrganizationSpend" (model);
CREATE UNIQUE INDEX "LiteLLM_DailyOrganizationSpend_organization_id_date_api_key_key" ON "LiteLLM_DailyOrganizationSpend" (organization_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint);
CREATE INDEX "LiteLLM_DailyOrganizationSpend_organization_id_date_idx" ON "LiteLLM_DailyOrganizationSpend" (organization_id, date);

CREATE TABLE "LiteLLM_DailyPolicyMetrics" (
    policy_id text NOT NULL,
    date text NOT NULL,
    requests_evaluated bigint NOT NULL DEFAULT 0,
    passed_count bigint NOT NULL DEFAULT 0,
    blocked_count bigint NOT NULL DEFAULT 0,
    flagged_count bigint NOT NULL DEFAULT 0,
    avg_score double precision,
    avg_latency_ms double precision,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyPolicyMetrics_pkey" PRIMARY KEY (policy_id, date)
);
CREATE INDEX "LiteLLM_DailyPolicyMetrics_date_idx" ON "LiteLLM_DailyPolicyMetrics" (date);
CREATE INDEX "LiteLLM_DailyPolicyMetrics_policy_id_idx" ON "LiteLLM_DailyPolicyMetrics" (policy_id);

CREATE TABLE "LiteLLM_DailyRequestErrors" (
    date text NOT NULL,
    api_key text NOT NULL,
    team_id text NOT NULL DEFAULT '',
    user_id text NOT NULL DEFAULT '',
    model_group text NOT NULL DEFAULT '',
    status_code integer NOT NULL,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyRequestErrors_pkey" PRIMARY KEY (date, api_key, team_id, user_id, model_group, status_code)
);
CREATE INDEX "LiteLLM_DailyRequestErrors_date_idx" ON "LiteLLM_DailyRequestErrors" (date);

CREATE TABLE "LiteLLM_DailyTagSpend" (
    id text NOT NULL,
    tag text,
    date text NOT NULL,
    api_key text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0.0,
    api_requests bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    mcp_namespaced_tool_name text,
    request_id text,
    endpoint text,
    compression_saved_tokens bigint NOT NULL DEFAULT 0,
    compression_savings_spend double precision NOT NULL DEFAULT 0.0,
    prompt_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    autorouter_savings_spend double precision NOT NULL DEFAULT 0.0,
    gateway_injected_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    total_response_time_ms bigint NOT NULL DEFAULT 0,
    timed_requests bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_DailyTagSpend_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DailyTagSpend_api_key_idx" ON "LiteLLM_DailyTagSpend" (api_key);
CREATE INDEX "LiteLLM_DailyTagSpend_date_idx" ON "LiteLLM_DailyTagSpend" (date);
CREATE INDEX "LiteLLM_DailyTagSpend_endpoint_idx" ON "LiteLLM_DailyTagSpend" (endpoint);
CREATE INDEX "LiteLLM_DailyTagSpend_mcp_namespaced_tool_name_idx" ON "LiteLLM_DailyTagSpend" (mcp_namespaced_tool_name);
CREATE INDEX "LiteLLM_DailyTagSpend_model_idx" ON "LiteLLM_DailyTagSpend" (model);
CREATE UNIQUE INDEX "LiteLLM_DailyTagSpend_tag_date_api_key_model_custom_llm_pro_key" ON "LiteLLM_DailyTagSpend" (tag, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint);
CREATE INDEX "LiteLLM_DailyTagSpend_tag_date_idx" ON "LiteLLM_DailyTagSpend" (tag, date);

CREATE TABLE "LiteLLM_DailyTeamSpend" (
    id text NOT NULL,
    team_id text,
    date text NOT NULL,
    api_key text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0.0,
    api_requests bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
    cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    mcp_namespaced_tool_name text,
    endpoint text,
    ptu_flat_cost double precision NOT NULL DEFAULT 0.0,
    compression_saved_tokens bigint NOT NULL DEFAULT 0,
    compression_savings_spend double precision NOT NULL DEFAULT 0.0,
    prompt_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    autorouter_savings_spend double precision NOT NULL DEFAULT 0.0,
    gateway_injected_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    total_response_time_ms bigint NOT NULL DEFAULT 0,
    timed_requests bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_DailyTeamSpend_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DailyTeamSpend_api_key_idx" ON "LiteLLM_DailyTeamSpend" (api_key);
CREATE INDEX "LiteLLM_DailyTeamSpend_date_idx" ON "LiteLLM_DailyTeamSpend" (date);
CREATE INDEX "LiteLLM_DailyTeamSpend_endpoint_idx" ON "LiteLLM_DailyTeamSpend" (endpoint);
CREATE INDEX "LiteLLM_DailyTeamSpend_mcp_namespaced_tool_name_idx" ON "LiteLLM_DailyTeamSpend" (mcp_namespaced_tool_name);
CREATE INDEX "LiteLLM_DailyTeamSpend_model_idx" ON "LiteLLM_DailyTeamSpend" (model);
CREATE UNIQUE INDEX "LiteLLM_DailyTeamSpend_team_id_date_api_key_model_custom_ll_key" ON "LiteLLM_DailyTeamSpend" (team_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint);
CREATE INDEX "LiteLLM_DailyTeamSpend_team_id_date_idx" ON "LiteLLM_DailyTeamSpend" (team_id, date);

CREATE TABLE "LiteLLM_DailyToolSpend" (
    date text NOT NULL,
    tool_name text NOT NULL,
    spend double precision NOT NULL DEFAULT 0.0,
    total_tokens bigint NOT NULL DEFAULT 0,
    request_count bigint NOT NULL DEFAULT 0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_DailyToolSpend_pkey" PRIMARY KEY (date, tool_name)
);

CREATE TABLE "LiteLLM_DailyUserSpend" (
    id text NOT NULL,
    user_id text,
    date text NOT NULL,
    api_key text NOT NULL,
    model text,
    model_group text,
    custom_llm_provider text,
    prompt_tokens bigint NOT NULL DEFAULT 0,
    completion_tokens bigint NOT NULL DEFAULT 0,
    spend double precision NOT NULL DEFAULT 0.0,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    api_requests bigint NOT NULL DEFAULT 0,
    failed_requests bigint NOT NULL DEFAULT 0,
    successful_requests bigint NOT NULL DEFAULT 0,
    cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
    cache_read_input_tokens bigint NOT NULL DEFAULT 0,
    mcp_namespaced_tool_name text,
    endpoint text,
    compression_saved_tokens bigint NOT NULL DEFAULT 0,
    compression_savings_spend double precision NOT NULL DEFAULT 0.0,
    prompt_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    autorouter_savings_spend double precision NOT NULL DEFAULT 0.0,
    gateway_injected_caching_savings_spend double precision NOT NULL DEFAULT 0.0,
    total_response_time_ms bigint NOT NULL DEFAULT 0,
    timed_requests bigint NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_DailyUserSpend_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DailyUserSpend_api_key_idx" ON "LiteLLM_DailyUserSpend" (api_key);
CREATE INDEX "LiteLLM_DailyUserSpend_date_idx" ON "LiteLLM_DailyUserSpend" (date);
CREATE INDEX "LiteLLM_DailyUserSpend_endpoint_idx" ON "LiteLLM_DailyUserSpend" (endpoint);
CREATE INDEX "LiteLLM_DailyUserSpend_mcp_namespaced_tool_name_idx" ON "LiteLLM_DailyUserSpend" (mcp_namespaced_tool_name);
CREATE INDEX "LiteLLM_DailyUserSpend_model_idx" ON "LiteLLM_DailyUserSpend" (model);
CREATE UNIQUE INDEX "LiteLLM_DailyUserSpend_user_id_date_api_key_model_custom_ll_key" ON "LiteLLM_DailyUserSpend" (user_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name, endpoint);
CREATE INDEX "LiteLLM_DailyUserSpend_user_id_date_idx" ON "LiteLLM_DailyUserSpend" (user_id, date);

CREATE TABLE "LiteLLM_DeletedTeamTable" (
    id text NOT NULL,
    team_id text NOT NULL,
    team_alias text,
    organization_id text,
    object_permission_id text,
    admins text[],
    members text[],
    members_with_roles jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    max_budget double precision,
    spend double precision NOT NULL DEFAULT 0.0,
    models text[],
    max_parallel_requests integer,
    tpm_limit bigint,
    rpm_limit bigint,
    budget_duration text,
    budget_reset_at timestamp(3),
    blocked boolean NOT NULL DEFAULT false,
    model_spend jsonb NOT NULL DEFAULT '{}',
    model_max_budget jsonb NOT NULL DEFAULT '{}',
    team_member_permissions text[] DEFAULT '{}',
    model_id integer,
    created_at timestamp(3),
    updated_at timestamp(3),
    deleted_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_by text,
    deleted_by_api_key text,
    litellm_changed_by text,
    router_settings jsonb DEFAULT '{}',
    policies text[] DEFAULT '{}',
    allow_team_guardrail_config boolean NOT NULL DEFAULT false,
    soft_budget double precision,
    access_group_ids text[] DEFAULT '{}',
    tpd_limit bigint,
    CONSTRAINT "LiteLLM_DeletedTeamTable_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DeletedTeamTable_created_at_idx" ON "LiteLLM_DeletedTeamTable" (created_at);
CREATE INDEX "LiteLLM_DeletedTeamTable_deleted_at_idx" ON "LiteLLM_DeletedTeamTable" (deleted_at);
CREATE INDEX "LiteLLM_DeletedTeamTable_organization_id_idx" ON "LiteLLM_DeletedTeamTable" (organization_id);
CREATE INDEX "LiteLLM_DeletedTeamTable_team_alias_idx" ON "LiteLLM_DeletedTeamTable" (team_alias);
CREATE INDEX "LiteLLM_DeletedTeamTable_team_id_idx" ON "LiteLLM_DeletedTeamTable" (team_id);

CREATE TABLE "LiteLLM_DeletedVerificationToken" (
    id text NOT NULL,
    token text NOT NULL,
    key_name text,
    key_alias text,
    soft_budget_cooldown boolean NOT NULL DEFAULT false,
    spend double precision NOT NULL DEFAULT 0.0,
    expires timestamp(3),
    models text[],
    aliases jsonb NOT NULL DEFAULT '{}',
    config jsonb NOT NULL DEFAULT '{}',
    user_id text,
    team_id text,
    permissions jsonb NOT NULL DEFAULT '{}',
    max_parallel_requests integer,
    metadata jsonb NOT NULL DEFAULT '{}',
    blocked boolean,
    tpm_limit bigint,
    rpm_limit bigint,
    max_budget double precision,
    budget_duration text,
    budget_reset_at timestamp(3),
    allowed_cache_controls text[] DEFAULT '{}',
    allowed_routes text[] DEFAULT '{}',
    model_spend jsonb NOT NULL DEFAULT '{}',
    model_max_budget jsonb NOT NULL DEFAULT '{}',
    budget_id text,
    organization_id text,
    object_permission_id text,
    created_at timestamp(3),
    created_by text,
    updated_at timestamp(3),
    updated_by text,
    rotation_count integer DEFAULT 0,
    auto_rotate boolean DEFAULT false,
    rotation_interval text,
    last_rotation_at timestamp(3),
    key_rotation_at timestamp(3),
    deleted_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    deleted_by text,
    deleted_by_api_key text,
    litellm_changed_by text,
    router_settings jsonb DEFAULT '{}',
    policies text[] DEFAULT '{}',
    access_group_ids text[] DEFAULT '{}',
    last_active timestamp(3),
    project_id text,
    agent_id text,
    budget_fallbacks jsonb NOT NULL DEFAULT '{}',
    key_type text,
    settings_updated_at timestamp(3),
    tpd_limit bigint,
    total_spend double precision NOT NULL DEFAULT 0.0,
    CONSTRAINT "LiteLLM_DeletedVerificationToken_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DeletedVerificationToken_created_at_idx" ON "LiteLLM_DeletedVerificationToken" (created_at);
CREATE INDEX "LiteLLM_DeletedVerificationToken_deleted_at_idx" ON "LiteLLM_DeletedVerificationToken" (deleted_at);
CREATE INDEX "LiteLLM_DeletedVerificationToken_key_alias_idx" ON "LiteLLM_DeletedVerificationToken" (key_alias);
CREATE INDEX "LiteLLM_DeletedVerificationToken_organization_id_idx" ON "LiteLLM_DeletedVerificationToken" (organization_id);
CREATE INDEX "LiteLLM_DeletedVerificationToken_team_id_idx" ON "LiteLLM_DeletedVerificationToken" (team_id);
CREATE INDEX "LiteLLM_DeletedVerificationToken_token_idx" ON "LiteLLM_DeletedVerificationToken" (token);
CREATE INDEX "LiteLLM_DeletedVerificationToken_user_id_idx" ON "LiteLLM_DeletedVerificationToken" (user_id);

CREATE TABLE "LiteLLM_DeprecatedVerificationToken" (
    id text NOT NULL,
    token text NOT NULL,
    active_token_id text NOT NULL,
    revoke_at timestamp(3) NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_DeprecatedVerificationToken_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_DeprecatedVerificationToken_revoke_at_idx" ON "LiteLLM_DeprecatedVerificationToken" (revoke_at);
CREATE UNIQUE INDEX "LiteLLM_DeprecatedVerificationToken_token_key" ON "LiteLLM_DeprecatedVerificationToken" (token);
CREATE INDEX "LiteLLM_DeprecatedVerificationToken_token_revoke_at_idx" ON "LiteLLM_DeprecatedVerificationToken" (token, revoke_at);

CREATE TABLE "LiteLLM_EndUserTable" (
    user_id text NOT NULL,
    alias text,
    spend double precision NOT NULL DEFAULT 0.0,
    allowed_model_region text,
    default_model text,
    budget_id text,
    blocked boolean NOT NULL DEFAULT false,
    object_permission_id text,
    models text[] DEFAULT '{}',
    CONSTRAINT "LiteLLM_EndUserTable_pkey" PRIMARY KEY (user_id)
);

CREATE TABLE "LiteLLM_ErrorLogs" (
    request_id text NOT NULL,
    "startTime" timestamp(3) NOT NULL,
    "endTime" timestamp(3) NOT NULL,
    api_base text NOT NULL DEFAULT '',
    model_group text NOT NULL DEFAULT '',
    litellm_model_name text NOT NULL DEFAULT '',
    model_id text NOT NULL DEFAULT '',
    request_kwargs jsonb NOT NULL DEFAULT '{}',
    exception_type text NOT NULL DEFAULT '',
    exception_string text NOT NULL DEFAULT '',
    status_code text NOT NULL DEFAULT '',
    CONSTRAINT "LiteLLM_ErrorLogs_pkey" PRIMARY KEY (request_id)
);

CREATE TABLE "LiteLLM_GuardrailsTable" (
    guardrail_id text NOT NULL,
    guardrail_name text NOT NULL,
    litellm_params jsonb NOT NULL,
    guardrail_info jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    team_id text,
    reviewed_at timestamp(3),
    status text NOT NULL DEFAULT 'active',
    submitted_at timestamp(3),
    CONSTRAINT "LiteLLM_GuardrailsTable_pkey" PRIMARY KEY (guardrail_id)
);
CREATE UNIQUE INDEX "LiteLLM_GuardrailsTable_guardrail_name_key" ON "LiteLLM_GuardrailsTable" (guardrail_name);
CREATE INDEX "LiteLLM_GuardrailsTable_status_idx" ON "LiteLLM_GuardrailsTable" (status);

CREATE TABLE "LiteLLM_HealthCheckTable" (
    health_check_id text NOT NULL,
    model_name text NOT NULL,
    model_id text,
    status text NOT NULL,
    healthy_count integer NOT NULL DEFAULT 0,
    unhealthy_count integer NOT NULL DEFAULT 0,
    error_message text,
    response_time_ms double precision,
    details jsonb,
    checked_by text,
    checked_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_HealthCheckTable_pkey" PRIMARY KEY (health_check_id)
);
CREATE INDEX "LiteLLM_HealthCheckTable_checked_at_idx" ON "LiteLLM_HealthCheckTable" (checked_at);
CREATE INDEX "LiteLLM_HealthCheckTable_model_id_model_name_checked_at_idx" ON "LiteLLM_HealthCheckTable" (model_id, model_name, checked_at DESC);
CREATE INDEX "LiteLLM_HealthCheckTable_model_name_idx" ON "LiteLLM_HealthCheckTable" (model_name);
CREATE INDEX "LiteLLM_HealthCheckTable_status_idx" ON "LiteLLM_HealthCheckTable" (status);

CREATE TABLE "LiteLLM_InvitationLink" (
    id text NOT NULL,
    user_id text NOT NULL,
    is_accepted boolean NOT NULL DEFAULT false,
    accepted_at timestamp(3),
    expires_at timestamp(3) NOT NULL,
    created_at timestamp(3) NOT NULL,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL,
    updated_by text NOT NULL,
    CONSTRAINT "LiteLLM_InvitationLink_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_JWTKeyMapping" (
    id text NOT NULL,
    jwt_claim_name text NOT NULL,
    jwt_claim_value text NOT NULL,
    token text NOT NULL,
    description text,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    jwt_issuer text NOT NULL DEFAULT '',
    CONSTRAINT "LiteLLM_JWTKeyMapping_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_JWTKeyMapping_jwt_issuer_jwt_claim_name_jwt_claim_v_idx" ON "LiteLLM_JWTKeyMapping" (jwt_issuer, jwt_claim_name, jwt_claim_value, is_active);
CREATE UNIQUE INDEX "LiteLLM_JWTKeyMapping_jwt_issuer_jwt_claim_name_jwt_claim_v_key" ON "LiteLLM_JWTKeyMapping" (jwt_issuer, jwt_claim_name, jwt_claim_value);

CREATE TABLE "LiteLLM_Lens" (
    id text NOT NULL,
    version integer NOT NULL DEFAULT 0,
    data jsonb NOT NULL,
    due_at timestamp(3) DEFAULT '1970-01-01 00:00:00'::timestamp without time zone,
    CONSTRAINT "LiteLLM_Lens_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_Lens_due_at_idx" ON "LiteLLM_Lens" (due_at);
CREATE INDEX "LiteLLM_Lens_jobs_idx" ON "LiteLLM_Lens" USING gin (((data -> 'jobs')) jsonb_path_ops);

CREATE TABLE "LiteLLM_LensDataset" (
    id text NOT NULL,
    revision integer NOT NULL,
    created_at timestamp(3) NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT "LiteLLM_LensDataset_pkey" PRIMARY KEY (id, revision)
);

CREATE TABLE "LiteLLM_LensIngestionKey" (
    id text NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT "LiteLLM_LensIngestionKey_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_LensReview" (
    lens_id text NOT NULL,
    criteria_key text NOT NULL,
    execution_id text NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT "LiteLLM_LensReview_pkey" PRIMARY KEY (lens_id, criteria_key, execution_id)
);

CREATE TABLE "LiteLLM_LensRun" (
    id text NOT NULL,
    lens_id text NOT NULL,
    created_at timestamp(3) NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT "LiteLLM_LensRun_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_LensRun_completed_executions_idx" ON "LiteLLM_LensRun" USING gin ((((data -> 'sample') -> 'executions')) jsonb_path_ops) WHERE ((data ->> 'status') = 'completed');
CREATE INDEX "LiteLLM_LensRun_lens_id_created_at_idx" ON "LiteLLM_LensRun" (lens_id, created_at);

CREATE TABLE "LiteLLM_LensSignalConfig" (
    id text NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT "LiteLLM_LensSignalConfig_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_LensTraceSignal" (
    trace_id text NOT NULL,
    trace_ref text NOT NULL DEFAULT '',
    config_key text NOT NULL,
    span_count integer NOT NULL,
    claimed_until timestamp(3),
    classified_at timestamp(3),
    data jsonb NOT NULL,
    CONSTRAINT "LiteLLM_LensTraceSignal_pkey" PRIMARY KEY (trace_id, trace_ref)
);

CREATE TABLE "LiteLLM_LensWorker" (
    id text NOT NULL,
    token_hash text NOT NULL,
    data jsonb NOT NULL,
    CONSTRAINT "LiteLLM_LensWorker_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_LensWorker_active_scope_idx" ON "LiteLLM_LensWorker" USING gin (((data -> 'scope')) jsonb_path_ops) WHERE (data @> '{"revoked": false}'::jsonb);
ALTER TABLE "LiteLLM_LensWorker" ADD CONSTRAINT "LiteLLM_LensWorker_token_hash_key" UNIQUE (token_hash);

CREATE TABLE "LiteLLM_MCPServerOAuthClient" (
    server_id text NOT NULL,
    credentials jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_MCPServerOAuthClient_pkey" PRIMARY KEY (server_id)
);

CREATE TABLE "LiteLLM_MCPServerTable" (
    server_id text NOT NULL,
    server_name text,
    description text,
    url text,
    transport text NOT NULL DEFAULT 'sse',
    auth_type text,
    created_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    status text DEFAULT 'unknown',
    last_health_check timestamp(3),
    health_check_error text,
    mcp_info jsonb DEFAULT '{}',
    args text[] DEFAULT '{}',
    command text,
    env jsonb DEFAULT '{}',
    mcp_access_groups text[],
    alias text,
    allowed_tools text[] DEFAULT '{}',
    extra_headers text[] DEFAULT '{}',
    static_headers jsonb DEFAULT '{}',
    credentials jsonb DEFAULT '{}',
    authorization_url text,
    registration_url text,
    token_url text,
    allow_all_keys boolean NOT NULL DEFAULT false,
    available_on_public_internet boolean NOT NULL DEFAULT true,
    spec_path text,
    byok_api_key_help_url text,
    byok_description text[] DEFAULT '{}',
    is_byok boolean NOT NULL DEFAULT false,
    tool_name_to_description jsonb DEFAULT '{}',
    tool_name_to_display_name jsonb DEFAULT '{}',
    approval_status text DEFAULT 'active',
    submitted_by text,
    submitted_at timestamp(3),
    reviewed_at timestamp(3),
    review_notes text,
    source_url text,
    instructions text,
    delegate_auth_to_upstream boolean NOT NULL DEFAULT false,
    env_vars jsonb DEFAULT '[]',
    oauth_passthrough boolean NOT NULL DEFAULT false,
    oauth2_flow text,
    timeout double precision,
    max_concurrent_requests integer,
    token_exchange_endpoint text,
    audience text,
    subject_token_type text,
    token_exchange_profile text,
    dcr_bridge boolean,
    issuer text,
    per_server_oauth_discovery boolean NOT NULL DEFAULT false,
    pinned_tools jsonb DEFAULT '{}',
    rpm integer,
    CONSTRAINT "LiteLLM_MCPServerTable_pkey" PRIMARY KEY (server_id)
);
CREATE INDEX "LiteLLM_MCPServerTable_approval_status_idx" ON "LiteLLM_MCPServerTable" (approval_status);

CREATE TABLE "LiteLLM_MCPToolsetTable" (
    toolset_id text NOT NULL,
    toolset_name text NOT NULL,
    description text,
    tools jsonb NOT NULL DEFAULT '[]',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    CONSTRAINT "LiteLLM_MCPToolsetTable_pkey" PRIMARY KEY (toolset_id)
);
CREATE UNIQUE INDEX "LiteLLM_MCPToolsetTable_toolset_name_key" ON "LiteLLM_MCPToolsetTable" (toolset_name);

CREATE TABLE "LiteLLM_MCPUserCredentials" (
    id text NOT NULL,
    user_id text NOT NULL,
    server_id text NOT NULL,
    credential_b64 text NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_MCPUserCredentials_pkey" PRIMARY KEY (id)
);
CREATE UNIQUE INDEX "LiteLLM_MCPUserCredentials_user_id_server_id_key" ON "LiteLLM_MCPUserCredentials" (user_id, server_id);

CREATE TABLE "LiteLLM_MCPUserEnvVars" (
    id text NOT NULL,
    user_id text NOT NULL,
    server_id text NOT NULL,
    values_b64 text NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_MCPUserEnvVars_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_MCPUserEnvVars_server_id_idx" ON "LiteLLM_MCPUserEnvVars" (server_id);
CREATE INDEX "LiteLLM_MCPUserEnvVars_user_id_idx" ON "LiteLLM_MCPUserEnvVars" (user_id);
CREATE UNIQUE INDEX "LiteLLM_MCPUserEnvVars_user_id_server_id_key" ON "LiteLLM_MCPUserEnvVars" (user_id, server_id);

CREATE TABLE "LiteLLM_ManagedFileContentTable" (
    id text NOT NULL,
    content bytea NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_ManagedFileContentTable_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_ManagedFileTable" (
    id text NOT NULL,
    unified_file_id text NOT NULL,
    file_object jsonb,
    model_mappings jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    created_by text,
    flat_model_file_ids text[] DEFAULT '{}',
    updated_by text,
    storage_backend text,
    storage_url text,
    team_id text,
    CONSTRAINT "LiteLLM_ManagedFileTable_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_ManagedFileTable_flat_model_file_ids_idx" ON "LiteLLM_ManagedFileTable" USING gin (flat_model_file_ids);
CREATE INDEX "LiteLLM_ManagedFileTable_team_id_created_at_idx" ON "LiteLLM_ManagedFileTable" (team_id, created_at DESC);
CREATE INDEX "LiteLLM_ManagedFileTable_unified_file_id_idx" ON "LiteLLM_ManagedFileTable" (unified_file_id);
CREATE UNIQUE INDEX "LiteLLM_ManagedFileTable_unified_file_id_key" ON "LiteLLM_ManagedFileTable" (unified_file_id);

CREATE TABLE "LiteLLM_ManagedObjectTable" (
    id text NOT NULL,
    unified_object_id text NOT NULL,
    model_object_id text NOT NULL,
    file_object jsonb NOT NULL,
    file_purpose text NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL,
    updated_by text,
    status text,
    batch_processed boolean NOT NULL DEFAULT false,
    team_id text,
    api_key text,
    request_tags jsonb DEFAULT '[]',
    org_id text,
    end_user_id text,
    CONSTRAINT "LiteLLM_ManagedObjectTable_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_ManagedObjectTable_model_object_id_idx" ON "LiteLLM_ManagedObjectTable" (model_object_id);
CREATE UNIQUE INDEX "LiteLLM_ManagedObjectTable_model_object_id_key" ON "LiteLLM_ManagedObjectTable" (model_object_id);
CREATE INDEX "LiteLLM_ManagedObjectTable_team_id_created_at_idx" ON "LiteLLM_ManagedObjectTable" (team_id, created_at DESC);
CREATE INDEX "LiteLLM_ManagedObjectTable_unified_object_id_idx" ON "LiteLLM_ManagedObjectTable" (unified_object_id);
CREATE UNIQUE INDEX "LiteLLM_ManagedObjectTable_unified_object_id_key" ON "LiteLLM_ManagedObjectTable" (unified_object_id);

CREATE TABLE "LiteLLM_ManagedVectorStoreIndexTable" (
    id text NOT NULL,
    index_name text NOT NULL,
    litellm_params jsonb NOT NULL,
    index_info jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL,
    updated_by text,
    CONSTRAINT "LiteLLM_ManagedVectorStoreIndexTable_pkey" PRIMARY KEY (id)
);
CREATE UNIQUE INDEX "LiteLLM_ManagedVectorStoreIndexTable_index_name_key" ON "LiteLLM_ManagedVectorStoreIndexTable" (index_name);

CREATE TABLE "LiteLLM_ManagedVectorStoreTable" (
    id text NOT NULL,
    unified_resource_id text NOT NULL,
    resource_object jsonb,
    model_mappings jsonb NOT NULL,
    flat_model_resource_ids text[] DEFAULT '{}',
    storage_backend text,
    storage_url text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL,
    updated_by text,
    team_id text,
    CONSTRAINT "LiteLLM_ManagedVectorStoreTable_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_ManagedVectorStoreTable_team_id_created_at_idx" ON "LiteLLM_ManagedVectorStoreTable" (team_id, created_at DESC);
CREATE INDEX "LiteLLM_ManagedVectorStoreTable_unified_resource_id_idx" ON "LiteLLM_ManagedVectorStoreTable" (unified_resource_id);
CREATE UNIQUE INDEX "LiteLLM_ManagedVectorStoreTable_unified_resource_id_key" ON "LiteLLM_ManagedVectorStoreTable" (unified_resource_id);

CREATE TABLE "LiteLLM_ManagedVectorStoresTable" (
    vector_store_id text NOT NULL,
    custom_llm_provider text NOT NULL,
    vector_store_name text,
    vector_store_description text,
    vector_store_metadata jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    litellm_credential_name text,
    litellm_params jsonb,
    team_id text,
    user_id text,
    CONSTRAINT "LiteLLM_ManagedVectorStoresTable_pkey" PRIMARY KEY (vector_store_id)
);
CREATE INDEX "LiteLLM_ManagedVectorStoresTable_team_id_idx" ON "LiteLLM_ManagedVectorStoresTable" (team_id);
CREATE INDEX "LiteLLM_ManagedVectorStoresTable_user_id_idx" ON "LiteLLM_ManagedVectorStoresTable" (user_id);

CREATE TABLE "LiteLLM_MemoryTable" (
    memory_id text NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    metadata jsonb,
    user_id text,
    team_id text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    CONSTRAINT "LiteLLM_MemoryTable_pkey" PRIMARY KEY (memory_id)
);
CREATE UNIQUE INDEX "LiteLLM_MemoryTable_key_key" ON "LiteLLM_MemoryTable" (key);
CREATE INDEX "LiteLLM_MemoryTable_team_id_idx" ON "LiteLLM_MemoryTable" (team_id);
CREATE INDEX "LiteLLM_MemoryTable_user_id_idx" ON "LiteLLM_MemoryTable" (user_id);

CREATE TABLE "LiteLLM_ModelAccessGroupBudgetTable" (
    access_group_name text NOT NULL,
    spend double precision NOT NULL DEFAULT 0.0,
    budget_id text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    CONSTRAINT "LiteLLM_ModelAccessGroupBudgetTable_pkey" PRIMARY KEY (access_group_name)
);

CREATE TABLE "LiteLLM_ModelTable" (
    id serial,
    aliases jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text NOT NULL,
    CONSTRAINT "LiteLLM_ModelTable_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_ObjectPermissionTable" (
    object_permission_id text NOT NULL,
    mcp_servers text[] DEFAULT '{}',
    vector_stores text[] DEFAULT '{}',
    mcp_access_groups text[] DEFAULT '{}',
    mcp_tool_permissions jsonb,
    agents text[] DEFAULT '{}',
    agent_access_groups text[] DEFAULT '{}',
    blocked_tools text[] DEFAULT '{}',
    models text[] DEFAULT '{}',
    mcp_toolsets text[] DEFAULT '{}',
    search_tools text[] DEFAULT '{}',
    mcp_tool_search_enabled boolean,
    skills text[] DEFAULT '{}',
    CONSTRAINT "LiteLLM_ObjectPermissionTable_pkey" PRIMARY KEY (object_permission_id)
);

CREATE TABLE "LiteLLM_OrganizationMembership" (
    user_id text NOT NULL,
    organization_id text NOT NULL,
    user_role text,
    spend double precision DEFAULT 0.0,
    budget_id text,
    created_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_OrganizationMembership_pkey" PRIMARY KEY (user_id, organization_id)
);
CREATE UNIQUE INDEX "LiteLLM_OrganizationMembership_user_id_organization_id_key" ON "LiteLLM_OrganizationMembership" (user_id, organization_id);

CREATE TABLE "LiteLLM_OrganizationTable" (
    organization_id text NOT NULL,
    organization_alias text NOT NULL,
    budget_id text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    models text[],
    spend double precision NOT NULL DEFAULT 0.0,
    model_spend jsonb NOT NULL DEFAULT '{}',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text NOT NULL,
    object_permission_id text,
    CONSTRAINT "LiteLLM_OrganizationTable_pkey" PRIMARY KEY (organization_id)
);

CREATE TABLE "LiteLLM_PolicyAttachmentTable" (
    attachment_id text NOT NULL,
    policy_name text NOT NULL,
    scope text,
    teams text[] DEFAULT '{}',
    keys text[] DEFAULT '{}',
    models text[] DEFAULT '{}',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    tags text[] DEFAULT '{}',
    priority integer,
    is_default boolean NOT NULL DEFAULT false,
    CONSTRAINT "LiteLLM_PolicyAttachmentTable_pkey" PRIMARY KEY (attachment_id)
);

CREATE TABLE "LiteLLM_PolicyTable" (
    policy_id text NOT NULL,
    policy_name text NOT NULL,
    inherit text,
    description text,
    guardrails_add text[] DEFAULT '{}',
    guardrails_remove text[] DEFAULT '{}',
    condition jsonb DEFAULT '{}',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    pipeline jsonb,
    is_latest boolean NOT NULL DEFAULT true,
    parent_version_id text,
    production_at timestamp(3),
    published_at timestamp(3),
    version_number integer NOT NULL DEFAULT 1,
    version_status text NOT NULL DEFAULT 'production',
    CONSTRAINT "LiteLLM_PolicyTable_pkey" PRIMARY KEY (policy_id)
);
CREATE UNIQUE INDEX "LiteLLM_PolicyTable_policy_name_version_number_key" ON "LiteLLM_PolicyTable" (policy_name, version_number);
CREATE INDEX "LiteLLM_PolicyTable_policy_name_version_status_idx" ON "LiteLLM_PolicyTable" (policy_name, version_status);

CREATE TABLE "LiteLLM_ProjectTable" (
    project_id text NOT NULL,
    project_alias text,
    team_id text,
    budget_id text,
    metadata jsonb NOT NULL DEFAULT '{}',
    models text[],
    spend double precision NOT NULL DEFAULT 0.0,
    model_spend jsonb NOT NULL DEFAULT '{}',
    blocked boolean NOT NULL DEFAULT false,
    object_permission_id text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text NOT NULL,
    description text,
    model_rpm_limit jsonb NOT NULL DEFAULT '{}',
    model_tpm_limit jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT "LiteLLM_ProjectTable_pkey" PRIMARY KEY (project_id)
);

CREATE TABLE "LiteLLM_PromptTable" (
    id text NOT NULL,
    prompt_id text NOT NULL,
    litellm_params jsonb NOT NULL,
    prompt_info jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    version integer NOT NULL DEFAULT 1,
    environment text NOT NULL DEFAULT 'development',
    created_by text,
    CONSTRAINT "LiteLLM_PromptTable_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_PromptTable_prompt_id_environment_idx" ON "LiteLLM_PromptTable" (prompt_id, environment);
CREATE INDEX "LiteLLM_PromptTable_prompt_id_idx" ON "LiteLLM_PromptTable" (prompt_id);
CREATE UNIQUE INDEX "LiteLLM_PromptTable_prompt_id_version_environment_key" ON "LiteLLM_PromptTable" (prompt_id, version, environment);

CREATE TABLE "LiteLLM_ProxyModelTable" (
    model_id text NOT NULL,
    model_name text NOT NULL,
    litellm_params jsonb NOT NULL,
    model_info jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text NOT NULL,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text NOT NULL,
    blocked boolean NOT NULL DEFAULT false,
    CONSTRAINT "LiteLLM_ProxyModelTable_pkey" PRIMARY KEY (model_id)
);

CREATE TABLE "LiteLLM_ProxyWorkerHeartbeat" (
    worker_id text NOT NULL,
    hostname text NOT NULL,
    started_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    last_heartbeat_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_ProxyWorkerHeartbeat_pkey" PRIMARY KEY (worker_id)
);

CREATE TABLE "LiteLLM_RetiredAgent" (
    original_agent_id text NOT NULL,
    retired_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_RetiredAgent_pkey" PRIMARY KEY (original_agent_id)
);

CREATE TABLE "LiteLLM_RetiredAgentIdentity" (
    binding_id text NOT NULL,
    agent_id text,
    provider text NOT NULL,
    issuer text NOT NULL,
    tenant_id text NOT NULL,
    client_id text NOT NULL,
    CONSTRAINT "LiteLLM_RetiredAgentIdentity_pkey" PRIMARY KEY (binding_id)
);
CREATE UNIQUE INDEX "LiteLLM_RetiredAgentIdentity_provider_tenant_id_client_id_key" ON "LiteLLM_RetiredAgentIdentity" (provider, tenant_id, client_id);

CREATE TABLE "LiteLLM_SSOConfig" (
    id text NOT NULL DEFAULT 'sso_config',
    sso_settings jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_SSOConfig_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_SSOIdentityAssertion" (
    user_id text NOT NULL,
    assertion_b64 text NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_SSOIdentityAssertion_pkey" PRIMARY KEY (user_id)
);

CREATE TABLE "LiteLLM_SearchToolsTable" (
    search_tool_id text NOT NULL,
    search_tool_name text NOT NULL,
    litellm_params jsonb NOT NULL,
    search_tool_info jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_SearchToolsTable_pkey" PRIMARY KEY (search_tool_id)
);
CREATE UNIQUE INDEX "LiteLLM_SearchToolsTable_search_tool_name_key" ON "LiteLLM_SearchToolsTable" (search_tool_name);

CREATE TABLE "LiteLLM_ShadowEvalAttempt" (
    id text NOT NULL,
    job_id text NOT NULL,
    request_id text NOT NULL,
    outcome text NOT NULL,
    tier text,
    real_model text,
    shadow_model text,
    confidence double precision,
    judge_cost double precision NOT NULL DEFAULT 0,
    error text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    shadow_cost double precision NOT NULL DEFAULT 0,
    real_cost double precision,
    real_classifier_cost double precision NOT NULL DEFAULT 0,
    shadow_classifier_cost double precision NOT NULL DEFAULT 0,
    real_cache_hit boolean NOT NULL DEFAULT false,
    router_name text,
    CONSTRAINT "LiteLLM_ShadowEvalAttempt_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_ShadowEvalAttempt_job_id_idx" ON "LiteLLM_ShadowEvalAttempt" (job_id);

CREATE TABLE "LiteLLM_ShadowEvalFunnel" (
    job_id text NOT NULL,
    not_sampled integer NOT NULL DEFAULT 0,
    unjudgeable integer NOT NULL DEFAULT 0,
    shed integer NOT NULL DEFAULT 0,
    withheld integer NOT NULL DEFAULT 0,
    CONSTRAINT "LiteLLM_ShadowEvalFunnel_pkey" PRIMARY KEY (job_id)
);

CREATE TABLE "LiteLLM_ShadowEvalJob" (
    id text NOT NULL,
    target_id text NOT NULL,
    router_name text NOT NULL,
    judge_model text NOT NULL,
    shadow_percentage double precision NOT NULL,
    max_turns integer NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    ends_at timestamp(3) NOT NULL,
    stopped_at timestamp(3),
    baseline_model text,
    direction text NOT NULL DEFAULT 'forward',
    group_id text NOT NULL,
    stopped_by text,
    max_budget double precision,
    target_type text NOT NULL DEFAULT 'key',
    router_names text[] NOT NULL DEFAULT '{}',
    models text[] NOT NULL DEFAULT '{}',
    CONSTRAINT "LiteLLM_ShadowEvalJob_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_ShadowEvalJob_created_at_idx" ON "LiteLLM_ShadowEvalJob" (created_at);
CREATE INDEX "LiteLLM_ShadowEvalJob_group_id_idx" ON "LiteLLM_ShadowEvalJob" (group_id);
CREATE UNIQUE INDEX "LiteLLM_ShadowEvalJob_one_active_per_target_direction" ON "LiteLLM_ShadowEvalJob" (target_type, target_id, direction) WHERE (stopped_at IS NULL);
CREATE INDEX "LiteLLM_ShadowEvalJob_target_type_target_id_idx" ON "LiteLLM_ShadowEvalJob" (target_type, target_id);

CREATE TABLE "LiteLLM_SkillsTable" (
    skill_id text NOT NULL,
    display_title text,
    description text,
    instructions text,
    source text NOT NULL DEFAULT 'custom',
    latest_version text,
    file_content bytea,
    file_name text,
    file_type text,
    metadata jsonb DEFAULT '{}',
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    CONSTRAINT "LiteLLM_SkillsTable_pkey" PRIMARY KEY (skill_id)
);

CREATE TABLE "LiteLLM_SpendLogGuardrailIndex" (
    request_id text NOT NULL,
    guardrail_id text NOT NULL,
    policy_id text,
    start_time timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_SpendLogGuardrailIndex_pkey" PRIMARY KEY (request_id, guardrail_id)
);
CREATE INDEX "LiteLLM_SpendLogGuardrailIndex_guardrail_id_start_time_idx" ON "LiteLLM_SpendLogGuardrailIndex" (guardrail_id, start_time);
CREATE INDEX "LiteLLM_SpendLogGuardrailIndex_policy_id_start_time_idx" ON "LiteLLM_SpendLogGuardrailIndex" (policy_id, start_time);

CREATE TABLE "LiteLLM_SpendLogToolIndex" (
    request_id text NOT NULL,
    tool_name text NOT NULL,
    start_time timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_SpendLogToolIndex_pkey" PRIMARY KEY (request_id, tool_name)
);
CREATE INDEX "LiteLLM_SpendLogToolIndex_start_time_idx" ON "LiteLLM_SpendLogToolIndex" (start_time);
CREATE INDEX "LiteLLM_SpendLogToolIndex_tool_name_start_time_idx" ON "LiteLLM_SpendLogToolIndex" (tool_name, start_time);

CREATE TABLE "LiteLLM_SpendLogs" (
    request_id text NOT NULL,
    call_type text NOT NULL,
    api_key text NOT NULL DEFAULT '',
    spend double precision NOT NULL DEFAULT 0.0,
    total_tokens integer NOT NULL DEFAULT 0,
    prompt_tokens integer NOT NULL DEFAULT 0,
    completion_tokens integer NOT NULL DEFAULT 0,
    "startTime" timestamp(3) NOT NULL,
    "endTime" timestamp(3) NOT NULL,
    "completionStartTime" timestamp(3),
    model text NOT NULL DEFAULT '',
    model_id text DEFAULT '',
    model_group text DEFAULT '',
    custom_llm_provider text DEFAULT '',
    api_base text DEFAULT '',
    "user" text DEFAULT '',
    metadata jsonb DEFAULT '{}',
    cache_hit text DEFAULT '',
    cache_key text DEFAULT '',
    request_tags jsonb DEFAULT '[]',
    team_id text,
    end_user text,
    requester_ip_address text,
    messages jsonb DEFAULT '{}',
    response jsonb DEFAULT '{}',
    proxy_server_request jsonb DEFAULT '{}',
    session_id text,
    status text,
    mcp_namespaced_tool_name text,
    organization_id text,
    agent_id text,
    request_duration_ms integer,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    litellm_call_id text,
    billing_agent_id text,
    CONSTRAINT "LiteLLM_SpendLogs_pkey" PRIMARY KEY (request_id)
);
CREATE INDEX "LiteLLM_SpendLogs_end_user_idx" ON "LiteLLM_SpendLogs" (end_user);
CREATE INDEX "LiteLLM_SpendLogs_session_id_idx" ON "LiteLLM_SpendLogs" (session_id);
CREATE INDEX "LiteLLM_SpendLogs_startTime_idx" ON "LiteLLM_SpendLogs" ("startTime");
CREATE INDEX "LiteLLM_SpendLogs_startTime_request_id_idx" ON "LiteLLM_SpendLogs" ("startTime", request_id);

CREATE TABLE "LiteLLM_TagTable" (
    tag_name text NOT NULL,
    description text,
    models text[],
    model_info jsonb,
    spend double precision NOT NULL DEFAULT 0.0,
    budget_id text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_TagTable_pkey" PRIMARY KEY (tag_name)
);

CREATE TABLE "LiteLLM_TeamMembership" (
    user_id text NOT NULL,
    team_id text NOT NULL,
    spend double precision NOT NULL DEFAULT 0.0,
    budget_id text,
    total_spend double precision NOT NULL DEFAULT 0.0,
    CONSTRAINT "LiteLLM_TeamMembership_pkey" PRIMARY KEY (user_id, team_id)
);

CREATE TABLE "LiteLLM_TeamTable" (
    team_id text NOT NULL,
    team_alias text,
    organization_id text,
    admins text[],
    members text[],
    members_with_roles jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    max_budget double precision,
    spend double precision NOT NULL DEFAULT 0.0,
    models text[],
    max_parallel_requests integer,
    tpm_limit bigint,
    rpm_limit bigint,
    budget_duration text,
    budget_reset_at timestamp(3),
    blocked boolean NOT NULL DEFAULT false,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    model_spend jsonb NOT NULL DEFAULT '{}',
    model_max_budget jsonb NOT NULL DEFAULT '{}',
    model_id integer,
    team_member_permissions text[] DEFAULT '{}',
    object_permission_id text,
    router_settings jsonb DEFAULT '{}',
    policies text[] DEFAULT '{}',
    allow_team_guardrail_config boolean NOT NULL DEFAULT false,
    soft_budget double precision,
    access_group_ids text[] DEFAULT '{}',
    budget_limits jsonb,
    default_team_member_models text[] DEFAULT '{}',
    tpd_limit bigint,
    CONSTRAINT "LiteLLM_TeamTable_pkey" PRIMARY KEY (team_id)
);
CREATE INDEX "LiteLLM_TeamTable_created_at_idx" ON "LiteLLM_TeamTable" (created_at);
CREATE UNIQUE INDEX "LiteLLM_TeamTable_model_id_key" ON "LiteLLM_TeamTable" (model_id);
CREATE INDEX "LiteLLM_TeamTable_organization_id_idx" ON "LiteLLM_TeamTable" (organization_id);
CREATE INDEX "LiteLLM_TeamTable_team_alias_idx" ON "LiteLLM_TeamTable" (team_alias);

CREATE TABLE "LiteLLM_TelemetryReport" (
    id text NOT NULL,
    window_start double precision NOT NULL,
    window_end double precision NOT NULL,
    report jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_TelemetryReport_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_TelemetryReport_created_at_idx" ON "LiteLLM_TelemetryReport" (created_at);
CREATE INDEX "LiteLLM_TelemetryReport_window_end_idx" ON "LiteLLM_TelemetryReport" (window_end);

CREATE TABLE "LiteLLM_ToolTable" (
    tool_id text NOT NULL,
    tool_name text NOT NULL,
    origin text,
    input_policy text NOT NULL DEFAULT 'untrusted',
    call_count integer NOT NULL DEFAULT 0,
    assignments jsonb DEFAULT '{}',
    key_hash text,
    team_id text,
    key_alias text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    output_policy text NOT NULL DEFAULT 'untrusted',
    user_agent text,
    last_used_at timestamp(3),
    CONSTRAINT "LiteLLM_ToolTable_pkey" PRIMARY KEY (tool_id)
);
CREATE INDEX "LiteLLM_ToolTable_input_policy_idx" ON "LiteLLM_ToolTable" (input_policy);
CREATE INDEX "LiteLLM_ToolTable_output_policy_idx" ON "LiteLLM_ToolTable" (output_policy);
CREATE INDEX "LiteLLM_ToolTable_team_id_idx" ON "LiteLLM_ToolTable" (team_id);
CREATE UNIQUE INDEX "LiteLLM_ToolTable_tool_name_key" ON "LiteLLM_ToolTable" (tool_name);

CREATE TABLE "LiteLLM_UISettings" (
    id text NOT NULL DEFAULT 'ui_settings',
    ui_settings jsonb NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    CONSTRAINT "LiteLLM_UISettings_pkey" PRIMARY KEY (id)
);

CREATE TABLE "LiteLLM_UserNotifications" (
    request_id text NOT NULL,
    user_id text NOT NULL,
    models text[],
    justification text NOT NULL,
    status text NOT NULL,
    CONSTRAINT "LiteLLM_UserNotifications_pkey" PRIMARY KEY (request_id)
);

CREATE TABLE "LiteLLM_UserProviderCredentials" (
    id text NOT NULL,
    user_id text NOT NULL,
    credential_name text NOT NULL,
    provider text NOT NULL,
    credential_b64 text NOT NULL,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_UserProviderCredentials_pkey" PRIMARY KEY (id)
);
CREATE INDEX "LiteLLM_UserProviderCredentials_credential_name_idx" ON "LiteLLM_UserProviderCredentials" (credential_name);
CREATE UNIQUE INDEX "LiteLLM_UserProviderCredentials_user_id_credential_name_key" ON "LiteLLM_UserProviderCredentials" (user_id, credential_name);

CREATE TABLE "LiteLLM_UserTable" (
    user_id text NOT NULL,
    user_alias text,
    team_id text,
    sso_user_id text,
    organization_id text,
    password text,
    teams text[] DEFAULT '{}',
    user_role text,
    max_budget double precision,
    spend double precision NOT NULL DEFAULT 0.0,
    user_email text,
    models text[],
    metadata jsonb NOT NULL DEFAULT '{}',
    max_parallel_requests integer,
    tpm_limit bigint,
    rpm_limit bigint,
    budget_duration text,
    budget_reset_at timestamp(3),
    allowed_cache_controls text[] DEFAULT '{}',
    model_spend jsonb NOT NULL DEFAULT '{}',
    model_max_budget jsonb NOT NULL DEFAULT '{}',
    created_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    object_permission_id text,
    policies text[] DEFAULT '{}',
    password_reset_required boolean,
    last_breach_check_at timestamp(3),
    CONSTRAINT "LiteLLM_UserTable_pkey" PRIMARY KEY (user_id)
);
CREATE UNIQUE INDEX "LiteLLM_UserTable_sso_user_id_key" ON "LiteLLM_UserTable" (sso_user_id);
CREATE INDEX "LiteLLM_UserTable_user_email_lower_idx" ON "LiteLLM_UserTable" (lower(user_email));

CREATE TABLE "LiteLLM_VerificationToken" (
    token text NOT NULL,
    key_name text,
    key_alias text,
    soft_budget_cooldown boolean NOT NULL DEFAULT false,
    spend double precision NOT NULL DEFAULT 0.0,
    expires timestamp(3),
    models text[],
    aliases jsonb NOT NULL DEFAULT '{}',
    config jsonb NOT NULL DEFAULT '{}',
    user_id text,
    team_id text,
    permissions jsonb NOT NULL DEFAULT '{}',
    max_parallel_requests integer,
    metadata jsonb NOT NULL DEFAULT '{}',
    blocked boolean,
    tpm_limit bigint,
    rpm_limit bigint,
    max_budget double precision,
    budget_duration text,
    budget_reset_at timestamp(3),
    allowed_cache_controls text[] DEFAULT '{}',
    model_spend jsonb NOT NULL DEFAULT '{}',
    model_max_budget jsonb NOT NULL DEFAULT '{}',
    budget_id text,
    organization_id text,
    created_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    created_by text,
    updated_at timestamp(3) DEFAULT CURRENT_TIMESTAMP,
    updated_by text,
    allowed_routes text[] DEFAULT '{}',
    object_permission_id text,
    auto_rotate boolean DEFAULT false,
    key_rotation_at timestamp(3),
    last_rotation_at timestamp(3),
    rotation_count integer DEFAULT 0,
    rotation_interval text,
    project_id text,
    router_settings jsonb DEFAULT '{}',
    policies text[] DEFAULT '{}',
    access_group_ids text[] DEFAULT '{}',
    last_active timestamp(3),
    agent_id text,
    budget_limits jsonb,
    budget_fallbacks jsonb NOT NULL DEFAULT '{}',
    key_type text,
    settings_updated_at timestamp(3),
    tpd_limit bigint,
    total_spend double precision NOT NULL DEFAULT 0.0,
    CONSTRAINT "LiteLLM_VerificationToken_pkey" PRIMARY KEY (token)
);
CREATE INDEX "LiteLLM_VerificationToken_budget_reset_at_expires_idx" ON "LiteLLM_VerificationToken" (budget_reset_at, expires);
CREATE INDEX "LiteLLM_VerificationToken_team_id_idx" ON "LiteLLM_VerificationToken" (team_id);
CREATE INDEX "LiteLLM_VerificationToken_user_id_team_id_idx" ON "LiteLLM_VerificationToken" (user_id, team_id);

CREATE TABLE "LiteLLM_VerifiedSubject" (
    subject_id text NOT NULL,
    issuer text NOT NULL,
    tenant_id text NOT NULL,
    oid text NOT NULL,
    kind text NOT NULL DEFAULT 'human',
    user_id text,
    verified_via text NOT NULL DEFAULT 'sso_interactive',
    verified_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_VerifiedSubject_pkey" PRIMARY KEY (subject_id)
);
CREATE UNIQUE INDEX "LiteLLM_VerifiedSubject_issuer_tenant_id_oid_key" ON "LiteLLM_VerifiedSubject" (issuer, tenant_id, oid);
CREATE INDEX "LiteLLM_VerifiedSubject_user_id_idx" ON "LiteLLM_VerifiedSubject" (user_id);

CREATE TABLE "LiteLLM_WorkflowEvent" (
    event_id text NOT NULL,
    run_id text NOT NULL,
    event_type text NOT NULL,
    step_name text NOT NULL,
    sequence_number integer NOT NULL,
    data jsonb,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_WorkflowEvent_pkey" PRIMARY KEY (event_id)
);
CREATE INDEX "LiteLLM_WorkflowEvent_run_id_idx" ON "LiteLLM_WorkflowEvent" (run_id);
CREATE UNIQUE INDEX "LiteLLM_WorkflowEvent_run_id_sequence_number_key" ON "LiteLLM_WorkflowEvent" (run_id, sequence_number);

CREATE TABLE "LiteLLM_WorkflowMessage" (
    message_id text NOT NULL,
    run_id text NOT NULL,
    role text NOT NULL,
    content text NOT NULL,
    sequence_number integer NOT NULL,
    session_id text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    CONSTRAINT "LiteLLM_WorkflowMessage_pkey" PRIMARY KEY (message_id)
);
CREATE INDEX "LiteLLM_WorkflowMessage_run_id_idx" ON "LiteLLM_WorkflowMessage" (run_id);
CREATE UNIQUE INDEX "LiteLLM_WorkflowMessage_run_id_sequence_number_key" ON "LiteLLM_WorkflowMessage" (run_id, sequence_number);

CREATE TABLE "LiteLLM_WorkflowRun" (
    run_id text NOT NULL,
    session_id text NOT NULL,
    workflow_type text NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    created_by text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    updated_at timestamp(3) NOT NULL,
    input jsonb,
    output jsonb,
    metadata jsonb,
    CONSTRAINT "LiteLLM_WorkflowRun_pkey" PRIMARY KEY (run_id)
);
CREATE INDEX "LiteLLM_WorkflowRun_created_at_idx" ON "LiteLLM_WorkflowRun" (created_at);
CREATE INDEX "LiteLLM_WorkflowRun_created_by_idx" ON "LiteLLM_WorkflowRun" (created_by);
CREATE INDEX "LiteLLM_WorkflowRun_session_id_idx" ON "LiteLLM_WorkflowRun" (session_id);
CREATE UNIQUE INDEX "LiteLLM_WorkflowRun_session_id_key" ON "LiteLLM_WorkflowRun" (session_id);
CREATE INDEX "LiteLLM_WorkflowRun_workflow_type_status_idx" ON "LiteLLM_WorkflowRun" (workflow_type, status);

-- A change of MCP servers shows in a revision that every proxy polls.
CREATE FUNCTION litellm_bump_mcp_catalog_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO "LiteLLM_Config" AS c (param_name, reload_revision) VALUES ('mcp_catalog', 1)
        ON CONFLICT (param_name) DO UPDATE SET reload_revision = c.reload_revision + 1;
    RETURN NULL;
END $$;
CREATE TRIGGER litellm_mcp_catalog_revision AFTER INSERT OR DELETE OR UPDATE ON "LiteLLM_MCPServerTable"
    FOR EACH STATEMENT EXECUTE FUNCTION litellm_bump_mcp_catalog_revision();

-- references
ALTER TABLE "LiteLLM_AgentIdentity" ADD CONSTRAINT "LiteLLM_AgentIdentity_agent_id_fkey"
    FOREIGN KEY (agent_id) REFERENCES "LiteLLM_AgentsTable"(agent_id) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE "LiteLLM_AgentsTable" ADD CONSTRAINT "LiteLLM_AgentsTable_object_permission_id_fkey"
    FOREIGN KEY (object_permission_id) REFERENCES "LiteLLM_ObjectPermissionTable"(object_permission_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_EndUserTable" ADD CONSTRAINT "LiteLLM_EndUserTable_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_EndUserTable" ADD CONSTRAINT "LiteLLM_EndUserTable_object_permission_id_fkey"
    FOREIGN KEY (object_permission_id) REFERENCES "LiteLLM_ObjectPermissionTable"(object_permission_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_InvitationLink" ADD CONSTRAINT "LiteLLM_InvitationLink_created_by_fkey"
    FOREIGN KEY (created_by) REFERENCES "LiteLLM_UserTable"(user_id) ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE "LiteLLM_InvitationLink" ADD CONSTRAINT "LiteLLM_InvitationLink_updated_by_fkey"
    FOREIGN KEY (updated_by) REFERENCES "LiteLLM_UserTable"(user_id) ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE "LiteLLM_InvitationLink" ADD CONSTRAINT "LiteLLM_InvitationLink_user_id_fkey"
    FOREIGN KEY (user_id) REFERENCES "LiteLLM_UserTable"(user_id) ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE "LiteLLM_JWTKeyMapping" ADD CONSTRAINT "LiteLLM_JWTKeyMapping_token_fkey"
    FOREIGN KEY (token) REFERENCES "LiteLLM_VerificationToken"(token) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE "LiteLLM_LensReview" ADD CONSTRAINT "LiteLLM_LensReview_lens_id_fkey"
    FOREIGN KEY (lens_id) REFERENCES "LiteLLM_Lens"(id) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE "LiteLLM_ModelAccessGroupBudgetTable" ADD CONSTRAINT "LiteLLM_ModelAccessGroupBudgetTable_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_OrganizationMembership" ADD CONSTRAINT "LiteLLM_OrganizationMembership_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_OrganizationMembership" ADD CONSTRAINT "LiteLLM_OrganizationMembership_organization_id_fkey"
    FOREIGN KEY (organization_id) REFERENCES "LiteLLM_OrganizationTable"(organization_id) ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE "LiteLLM_OrganizationMembership" ADD CONSTRAINT "LiteLLM_OrganizationMembership_user_id_fkey"
    FOREIGN KEY (user_id) REFERENCES "LiteLLM_UserTable"(user_id) ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE "LiteLLM_OrganizationTable" ADD CONSTRAINT "LiteLLM_OrganizationTable_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE "LiteLLM_OrganizationTable" ADD CONSTRAINT "LiteLLM_OrganizationTable_object_permission_id_fkey"
    FOREIGN KEY (object_permission_id) REFERENCES "LiteLLM_ObjectPermissionTable"(object_permission_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_ProjectTable" ADD CONSTRAINT "LiteLLM_ProjectTable_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_ProjectTable" ADD CONSTRAINT "LiteLLM_ProjectTable_object_permission_id_fkey"
    FOREIGN KEY (object_permission_id) REFERENCES "LiteLLM_ObjectPermissionTable"(object_permission_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_ProjectTable" ADD CONSTRAINT "LiteLLM_ProjectTable_team_id_fkey"
    FOREIGN KEY (team_id) REFERENCES "LiteLLM_TeamTable"(team_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_RetiredAgentIdentity" ADD CONSTRAINT "LiteLLM_RetiredAgentIdentity_agent_id_fkey"
    FOREIGN KEY (agent_id) REFERENCES "LiteLLM_AgentsTable"(agent_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_TagTable" ADD CONSTRAINT "LiteLLM_TagTable_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_TeamMembership" ADD CONSTRAINT "LiteLLM_TeamMembership_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_TeamTable" ADD CONSTRAINT "LiteLLM_TeamTable_model_id_fkey"
    FOREIGN KEY (model_id) REFERENCES "LiteLLM_ModelTable"(id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_TeamTable" ADD CONSTRAINT "LiteLLM_TeamTable_object_permission_id_fkey"
    FOREIGN KEY (object_permission_id) REFERENCES "LiteLLM_ObjectPermissionTable"(object_permission_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_TeamTable" ADD CONSTRAINT "LiteLLM_TeamTable_organization_id_fkey"
    FOREIGN KEY (organization_id) REFERENCES "LiteLLM_OrganizationTable"(organization_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_UserTable" ADD CONSTRAINT "LiteLLM_UserTable_object_permission_id_fkey"
    FOREIGN KEY (object_permission_id) REFERENCES "LiteLLM_ObjectPermissionTable"(object_permission_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_UserTable" ADD CONSTRAINT "LiteLLM_UserTable_organization_id_fkey"
    FOREIGN KEY (organization_id) REFERENCES "LiteLLM_OrganizationTable"(organization_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_VerificationToken" ADD CONSTRAINT "LiteLLM_VerificationToken_budget_id_fkey"
    FOREIGN KEY (budget_id) REFERENCES "LiteLLM_BudgetTable"(budget_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_VerificationToken" ADD CONSTRAINT "LiteLLM_VerificationToken_object_permission_id_fkey"
    FOREIGN KEY (object_permission_id) REFERENCES "LiteLLM_ObjectPermissionTable"(object_permission_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_VerificationToken" ADD CONSTRAINT "LiteLLM_VerificationToken_organization_id_fkey"
    FOREIGN KEY (organization_id) REFERENCES "LiteLLM_OrganizationTable"(organization_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_VerificationToken" ADD CONSTRAINT "LiteLLM_VerificationToken_project_id_fkey"
    FOREIGN KEY (project_id) REFERENCES "LiteLLM_ProjectTable"(project_id) ON UPDATE CASCADE ON DELETE SET NULL;
ALTER TABLE "LiteLLM_VerifiedSubject" ADD CONSTRAINT "LiteLLM_VerifiedSubject_user_id_fkey"
    FOREIGN KEY (user_id) REFERENCES "LiteLLM_UserTable"(user_id) ON UPDATE CASCADE ON DELETE CASCADE;
ALTER TABLE "LiteLLM_WorkflowEvent" ADD CONSTRAINT "LiteLLM_WorkflowEvent_run_id_fkey"
    FOREIGN KEY (run_id) REFERENCES "LiteLLM_WorkflowRun"(run_id) ON UPDATE CASCADE ON DELETE RESTRICT;
ALTER TABLE "LiteLLM_WorkflowMessage" ADD CONSTRAINT "LiteLLM_WorkflowMessage_run_id_fkey"
    FOREIGN KEY (run_id) REFERENCES "LiteLLM_WorkflowRun"(run_id) ON UPDATE CASCADE ON DELETE RESTRICT;
