#pragma once

/*
 * Settings of the database changed: rows of LiteLLM_Config as LiteLLM keeps them, one a section.
 * Those that return bool have answered when they return false.
 */

#include "api/settings.h"

/* The section's row exists and is locked; what it holds, or NULL with an answer. */
yyjson_mut_val *settings_lock(struct call *c, const char *section);

/* Writes a section whole, with its entry; the row as it is then. */
yyjson_mut_val *settings_write(struct call *c, const char *section, const yyjson_mut_val *was,
                               const yyjson_mut_val *now);

/* The key may be given this value here: it is known and of its type, the file does not say it, no
 * protection is asked for that is not built, no process reads it at start only. */
bool setting_check_change(struct call *c, enum setting_section section, struct str key,
                          const yyjson_mut_val *value);

/* The file says it: then nothing here can. */
bool setting_is_of_file(struct call *c, enum setting_section section, struct str key);
void refuse_setting_of_file(struct call *c, enum setting_section section, struct str key);

/* A section as it may be shown: secrets masked, of environment_variables all. */
yyjson_mut_val *settings_masked(struct call *c, const char *section, const yyjson_mut_val *map);
