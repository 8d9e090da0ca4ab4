#pragma once

/* What the control plane takes from config.yaml and the environment. */

#include "common/gateway/config_file.h"
#include "common/gateway/price_map.h"
#include "common/gateway/seal.h"

#include "store/db_url.h"

struct config {
    struct config_file file;
    struct db_url db, replica; /* replica: without conninfo there is none */
    struct str master_key, key_header, root_path;
    struct seal_key seal; /* of values at rest */
    enum seal_format seal_format;
    struct str models;           /* of the file, as JSON: [[id, deployment], ...] */
    struct str credentials;      /* credential_list of the file, as JSON; or empty */
    struct price_map *prices;    /* weir.model_price_map; NULL: what is built in */
    bool runs_jobs;              /* those that a LiteLLM would do */
    struct str zone, reset_time; /* when budgets begin anew: the calendar, and the time of day */
    bool stores_models;          /* models may be made and changed in the database */
    const char *host;
    uint16_t port;
    const char *certfile, *keyfile; /* NULL: without TLS */
    unsigned crud_threads, crud_conns, report_threads;
};

/* As config_file_read() and the verdict: the first error fails it, warnings are logged. Without a
 * master key it serves loopback only. */
MUST_CHECK enum errc config_load(struct config **ret_c, const char *path, struct err *e);
struct config *config_free(struct config *c);
DEFINE_AUTO_FREE(config)

/* The value of a MAP setting, or NULL. */
const struct conf_node *config_map(const struct config *c, enum setting_id id);
