#pragma once

/*
 * Settings as handlers read them: what the file says holds; what it is silent of, the database may
 * say (LiteLLM_Config, a row a section) where store_model_in_db is on. As JSON, in the call's
 * arena; a call reads a section once.
 */

#include "common/gateway/settings.h"

#include "api/call.h"

/* general_settings.store_model_in_db: the file, the environment or the database turns it on. */
bool settings_are_stored(struct call *c);
/* The same; false with an answer. */
bool settings_check_stored(struct call *c);

/* What the database holds of a section: an object, perhaps an empty one. */
yyjson_mut_val *settings_section(struct call *c, enum setting_section section);

/* The value that holds; NULL: none, or null. */
yyjson_mut_val *setting_get(struct call *c, enum setting_id id);
/* A member of a MAP. */
yyjson_mut_val *setting_member(struct call *c, enum setting_id id, const char *name);

/* A member of one, text or a list of texts, as a list; NULL: not set. */
yyjson_mut_val *setting_names(struct call *c, const yyjson_mut_val *map, const char *name);

/* What the file says of it, or NULL. */
yyjson_mut_val *setting_of_file(struct call *c, enum setting_id id);
