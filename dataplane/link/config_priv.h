#pragma once

/* Between the files of config.h's list. */

#include "link/config.h"

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
/* c->admin_origin and what belongs to it. */
void config_read_admin(struct config *c);

/* config_plane.c */
void config_read_plane(struct config *c);

/* config_info.c */
struct str config_deployment_info(struct config *c, const struct config_deployment *d);
struct str config_group_info(struct config *c, const struct config_group *g);
