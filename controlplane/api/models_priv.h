#pragma once

/* Between the files of the families of models: models.c writes, models_read.c reads. */

#include "api/reply.h"

/*
 * Deployments of configuration and database as one list of {"model_name", "litellm_params",
 * "model_info", "blocked"}, parameters opened; model_info has "id" and "db_model". Fresh values.
 */
yyjson_mut_val *model_all(struct call *c);

/* The deployment of that id, the same way; NULL: none. */
yyjson_mut_val *model_find(struct call *c, struct str id);

/* It stands in config.yaml. */
bool model_is_configured(struct call *c, struct str id);

bool model_name_is_configured(struct call *c, struct str name);

/* A credential of that name stands in config.yaml. */
bool credential_is_configured(struct call *c, struct str name);

/* A deployment of that model's name exists, in either place. */
bool model_name_exists(struct call *c, struct str name);

/* The name requests use: of a team's own deployment its public one. */
struct str model_public_name(const yyjson_mut_val *model);

/* The caller may use the deployment (of model_all()). */
bool model_is_visible(const struct caller *who, const yyjson_mut_val *model);
