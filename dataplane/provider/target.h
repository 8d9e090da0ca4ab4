#pragma once

/*
 * What a deployment means on the wire: provider row + litellm_params -> origin, paths, headers,
 * body edits. Pure: everything comes in through target_config, everything lies in the caller's
 * arena. Used by the link.
 */

#include "common/arena.h"
#include "common/err.h"
#include "common/gateway/api.h"

#include "provider/edit.h"

/* An environment variable or environment_variables entry; empty when unset. `ctx` is the caller's.
 */
typedef struct str (*target_env_fn)(void *ctx, struct str name);

struct target_header {
    struct str name, value;
};

struct target_config { /* all borrowed for the call; empty: not configured */
    struct str model;  /* litellm_params.model: "provider/name", "openai/star-wildcard", "gpt-4o" */
    struct str custom_llm_provider;
    struct str base_model; /* model_info.base_model: whose parameter rules hold where the model is a
                              deployment's name (Azure) */
    struct str api_key, api_base, api_version, organization, azure_ad_token, aws_region_name;
    const struct target_header *extra_headers;
    size_t n_extra_headers;
    const struct str *additional_drop_params;
    size_t n_additional_drop_params;
    const struct str *allowed_openai_params;
    size_t n_allowed_openai_params;
    bool serves_messages; /* model_info.supported_endpoints names "/v1/messages" */
    target_env_fn env;
    void *env_ctx;
};

struct target_path {
    struct str before,
        after; /* request target = before + middle + after; before empty: API not served */
};

struct target {
    struct str provider; /* id, e.g. "openai" */
    enum dialect dialect;
    struct str
        model; /* name sent upstream, provider prefix removed; '*' where a wildcard is filled in */
    enum api asked; /* "openai/responses/NAME", "openai/chat_completions/NAME": the API to speak;
                       API_COUNT: not said */
    bool tls;
    struct str host; /* as in the URL, IPv6 without brackets */
    uint16_t port;
    struct str api_base; /* for x-litellm-model-api-base: no credentials, no query */
    struct target_path
        path[API_COUNT]; /* middle: of API_RESPONSES what hangs below it ("/resp_1/cancel"), of
                            others the percent-encoded model where model_in_path, else nothing */
    bool model_in_path;  /* a wildcard deployment whose model stands in the path; a known model is
                            part of `before` */
    bool stream_usage;   /* stream_options.include_usage is understood */
    struct str headers;  /* header lines, each with CR LF: Host, credentials, Content-Type,
                            Accept-Encoding: identity, User-Agent, organization, extra_headers, which
                            win over ours; no Content-Length, and anthropic-version only if it is an
                            extra header */
    struct edit *edits;
    size_t n_edits;
    struct str unsupported; /* not empty: why this provider cannot be served by this build; requests
                               answer 501 with it */
};

/*
 * Fills *t. ERRC_INVALID with a sentence naming the key at fault: no provider in the model name,
 * unusable api_base, header bytes that may not be sent, a credential that the auth style needs and
 * nobody configured is NOT an error here (the request answers 401 class): t->headers then lacks it
 * and *ret_missing_key names the variables looked for.
 */
MUST_CHECK enum errc target_make(struct target *t, const struct target_config *c, struct arena *a,
                                 struct str *ret_missing_key, struct err *e);

/* Splits "provider/name" by the rules of providers.md section 3 (known prefix, api_base host, price
 * map). */
struct str target_provider(const struct target_config *c, struct str *ret_model);
