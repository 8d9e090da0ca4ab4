#pragma once

/* Between the files of config.h's list. */

#include "link/config.h"

/* config_file.c: reads path and its includes into c->root, c->variables, c->hash. */
MUST_CHECK enum errc config_read_files(struct config *c, struct err *e);

/* An entry of environment_variables, else the process's; empty when unset. For target_env_fn. */
struct str config_env(void *c, struct str name);

/* A copy of the tree with os.environ/NAME replaced; the tree itself without any. */
const struct conf_node *config_resolve(struct config *c, const struct conf_node *n);

/* A map with the members of `own` and those of `under` that it lacks; either may be NULL. */
const struct conf_node *config_under(struct config *c, const struct conf_node *own,
                                     const struct conf_node *under);

/* Hex SHA-256 of `text`. */
struct str config_sha256(struct arena *a, struct str text);

/* config.c: judges a map by the rows of its section; gives honoured values to c->value. */
void config_judge(struct config *c, enum setting_section section, const struct conf_node *map,
                  struct conf_log *log, bool keep);

/* Seconds as milliseconds, 0 when not given or 0. */
uint32_t config_node_ms(const struct conf_node *n);

/* config_models.c */
void config_read_models(struct config *c);

/* config_net.c: the trusted authorities of the file at `path`; empty with a note when unusable. */
struct str config_read_ca(struct config *c, const struct conf_node *at, struct str path,
                          struct conf_log *log);
/* c->ca from ssl_verify, SSL_CERT_FILE or the system. */
void config_read_trust(struct config *c);
/* Index of the deployment's origin in c->origins, which grows; SNAP_NONE with a note when its proxy
 * or authorities are unusable. */
uint32_t config_origin_of(struct config *c, const struct config_deployment *d,
                          struct conf_log *log);

/* config_info.c */
struct str config_deployment_info(struct config *c, const struct config_deployment *d);
struct str config_group_info(struct config *c, const struct config_group *g);
