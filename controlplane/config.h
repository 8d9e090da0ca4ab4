#pragma once

/* What the control plane takes from config.yaml and the environment. */

#include "common/gateway/config_file.h"

#include "store/db_url.h"

struct config {
    struct config_file file;
    struct db_url db;
    struct str master_key, key_header, root_path;
    const char *host;
    uint16_t port;
    unsigned crud_threads, crud_conns, report_threads;
};

/* As config_file_read() and the verdict: the first error fails it, warnings are logged. Without a
 * master key it serves loopback only. */
MUST_CHECK enum errc config_load(struct config **ret_c, const char *path, struct err *e);
struct config *config_free(struct config *c);
DEFINE_AUTO_FREE(config)

/* The value of a MAP setting, or NULL. */
const struct conf_node *config_map(const struct config *c, enum setting_id id);
