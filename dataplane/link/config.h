#pragma once

/*
 * config.yaml as the link understands it: every deployment compiled to what it means on the wire.
 * From here a generation is laid out (snapshot/build.h). It holds credentials.
 *
 *   config.c           master key, prices, what a process needs at start
 *   config_models.c    model_list to deployments, aliases
 *   config_net.c       proxies, trusted authorities, origins
 *   config_plane.c     the control plane that is asked
 *   config_info.c      what /model/info and /model_group/info say
 *   config_check.c     --check
 */

#include "common/gateway/config_file.h"
#include "common/gateway/join.h"
#include "common/gateway/price_map.h"

#include "provider/target.h"
#include "snapshot/layout.h"

struct config_origin { /* as struct snap_origin */
    struct str host, ca, proxy_host, proxy_auth;
    uint16_t port, proxy_port;
    uint32_t flags;           /* enum snap_origin_flags */
    uint32_t max_connections; /* 0: weir.upstream_max_connections */
};

struct config_deployment {      /* where not said otherwise as struct snap_deployment */
    const struct conf_node *at; /* its entry of model_list */
    const struct conf_node *params, *raw_params; /* merged; raw: os.environ/NAME as written */
    const struct conf_node *info;
    struct str id, group, litellm_model, organization;
    struct target target;   /* with the edits of the parameters */
    struct str missing_key; /* variables looked for; empty: nothing is missing */
    struct str mock_response, base_model, info_json;
    struct priced_model priced; /* name empty: no row of a price map */
    struct price price;         /* with the deployment's own figures */
    uint32_t flags;             /* enum snap_deployment_flags */
    uint32_t origin;            /* index of config.origins, or SNAP_NONE */
    uint32_t timeout_ms, stream_timeout_ms, num_retries, mode;
    uint32_t can, cannot, max_output;
    struct via_config via;
    enum via_kind kind;
    uint32_t order;           /* 0: not given, the lowest */
    int64_t weight, rpm, tpm; /* weight in thousandths; -1: not given */
    bool is_discoverable;
};

struct config_group { /* a model_name: its deployments stand one behind another */
    struct str name, info_json;
    const uint32_t *members; /* indices of config.deployments, in file order */
    uint32_t n_members;
    bool is_pattern, is_listed;
};

struct config_alias {
    struct str name, target;
    bool is_listed;
};

struct config {
    struct config_file file;  /* its arena holds everything below */
    struct price_map *prices; /* weir.model_price_map, or NULL */

    struct config_deployment *deployments;
    uint32_t n_deployments;
    struct config_group *groups;
    uint32_t n_groups;
    struct config_alias *aliases;
    uint32_t n_aliases;
    struct config_origin *origins;
    uint32_t n_origins;
    struct str ca; /* PEM of the authorities trusted by default */
    /* the control plane's REST address, where weir.forward_admin is on */
    struct str admin_host, admin_path;
    uint32_t admin_origin; /* else SNAP_NONE */
    struct join plane;     /* no addresses: this file is all there is */
};

/*
 * Reads the file at `path` and everything it includes, and merges `rows` of the database into it.
 * `env` looks up the process environment
 * (config_environ for the real one), `ctx` is its own. Gives a configuration even when c->file.log
 * holds errors: it then must not be served. Fails without one only with ERRC_NOMEM, or when a file
 * cannot be read as YAML (ERRC_INVALID, ERRC_LIMIT, ERRC_SYS with file and line).
 */
MUST_CHECK enum errc config_read_with(struct config **ret_c, const char *path,
                                      const struct config_row *rows, size_t n_rows,
                                      config_env_fn env, void *ctx, struct err *e);
MUST_CHECK enum errc config_read(struct config **ret_c, const char *path, config_env_fn env,
                                 void *ctx, struct err *e); /* no rows */

/* The same for use: the first error of c->file.log fails it (ERRC_INVALID), warnings go to the log.
 */
MUST_CHECK enum errc config_load(struct config **ret_c, const char *path, config_env_fn env,
                                 void *ctx, struct err *e);

struct config *config_free(struct config *c);
DEFINE_AUTO_FREE(config)

/* ---- what the process needs before there is a generation ---- */
uint16_t config_port(const struct config *c);
uint32_t config_workers(const struct config *c); /* 0: not configured */

/* What seals the last good state: LITELLM_SALT_KEY, else the master key; empty: nothing does. */
struct str config_secret(const struct config *c);

/* Prompts are to be stored, and there is a control plane that does. */
bool config_stores_prompts(const struct config *c);

/* The least memory that cannot be exceeded, in bytes, of one worker serving this configuration. */
uint64_t config_worker_memory(const struct config *c);

/*
 * `weir-link --check FILE`: prints errors and warnings with file and line, the models and where
 * they lead, and the memory ceiling to `out`. 0: it would start; 1: not.
 */
int config_check(const char *path, FILE *out);
