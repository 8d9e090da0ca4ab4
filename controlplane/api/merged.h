#pragma once

/* The configuration as data planes have it: the file with the database's rows merged into it by the
 * function that they use (common/gateway/config_merge.c). */

#include "api/call.h"

struct config_file;

/*
 * The file, the database's settings and credentials, and of its deployments those of `models` (an
 * array of rows, or NULL). Into zeroed storage; config_file_deinit() in any case. A fault sticks in
 * the call's unit of work.
 */
void merged_config(struct call *c, const yyjson_mut_val *models, struct config_file *ret);
