#pragma once

/*
 * config.yaml as the link understands it: included, merged, names of the environment replaced,
 * every key judged by the settings table, every deployment compiled to what it means on the wire.
 * From here a generation is laid out (snapshot/build.h). It holds credentials.
 *
 *   config_file.c      files, include, os.environ/NAME, hash
 *   config.c           sections, verdicts, precedence of settings
 *   config_models.c    model_list to deployments, aliases
 *   config_net.c       proxies, trusted authorities, origins
 *   config_info.c      what /model/info and /model_group/info say
 *   config_check.c     --check
 */

#include "common/conf.h"
#include "common/gateway/price_map.h"
#include "common/gateway/settings.h"

#include "provider/target.h"
#include "snapshot/layout.h"

struct config_origin { /* as struct snap_origin */
    struct str host, ca, proxy_host, proxy_auth;
    uint16_t port, proxy_port;
    uint32_t flags; /* enum snap_origin_flags */
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
    struct arena arena;  /* everything below lies in it */
    struct conf_log log; /* what is wrong, all of it */
    const char *path;
    struct str hash;          /* hex SHA-256 of the merged file, environment not replaced */
    struct price_map *prices; /* weir.model_price_map, or NULL */

    const struct conf_node *root;            /* merged, as written */
    const struct conf_node *value[SETTINGS]; /* of closed sections; NULL: not set */
    struct str unbuilt;                      /* keys without effect, ", " between them */
    struct str accepted;                     /* ... of which these enforce, and are accepted */

    struct config_deployment *deployments;
    uint32_t n_deployments;
    struct config_group *groups;
    uint32_t n_groups;
    struct config_alias *aliases;
    uint32_t n_aliases;
    struct config_origin *origins;
    uint32_t n_origins;
    struct str ca; /* PEM of the authorities trusted by default */

    /* private */
    target_env_fn process_env;
    void *process_ctx;
    const struct conf_node *variables; /* environment_variables */
};

/*
 * Reads the file at `path` and everything it includes. `env` looks up the process environment
 * (config_environ for the real one), `ctx` is its own. Gives a configuration even when c->log holds
 * errors: it then must not be served. Fails without one only with ERRC_NOMEM, or when a file cannot
 * be read as YAML (ERRC_INVALID, ERRC_LIMIT, ERRC_SYS with file and line).
 */
MUST_CHECK enum errc config_read(struct config **ret_c, const char *path, target_env_fn env,
                                 void *ctx, struct err *e);

/* The same for use: the first error of c->log fails it (ERRC_INVALID), warnings go to the log. */
MUST_CHECK enum errc config_load(struct config **ret_c, const char *path, target_env_fn env,
                                 void *ctx, struct err *e);

struct config *config_free(struct config *c);
DEFINE_AUTO_FREE(config)

/* The process environment, for config_read(). */
struct str config_environ(void *ctx, struct str name);

/* ---- settings, resolved: file, environment, default of the table ---- */
struct str config_text(const struct config *c, enum setting_id id);
bool config_bool(const struct config *c, enum setting_id id);
uint32_t config_u32(const struct config *c, enum setting_id id);
uint32_t config_ms(const struct config *c, enum setting_id id);
/* The first of them that is set in the file or the environment, else the last one: the one whose
 * default holds may therefore stand twice. */
enum setting_id config_first(const struct config *c, const enum setting_id *ids, size_t n);
#define CONFIG_FIRST(c, ...)                                                                       \
    config_first((c), (const enum setting_id[]){__VA_ARGS__},                                      \
                 ARRAY_LEN(((const enum setting_id[]){__VA_ARGS__})))

/* ---- what the process needs before there is a generation ---- */
struct str config_master_key(const struct config *c); /* empty: none */
uint16_t config_port(const struct config *c);
uint32_t config_workers(const struct config *c); /* 0: not configured */

/* The least memory that cannot be exceeded, in bytes, of one worker serving this configuration. */
uint64_t config_worker_memory(const struct config *c);

/*
 * `weir-link --check FILE`: prints errors and warnings with file and line, the models and where
 * they lead, and the memory ceiling to `out`. 0: it would start; 1: not.
 */
int config_check(const char *path, FILE *out);
