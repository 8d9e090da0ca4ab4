#pragma once

/*
 * One line per event on standard error: time, level, event name, then key=value fields. The code
 * that decides what happens next logs once, with the consequence. Never a secret, prompt or
 * completion.
 */

#include "common/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* `who` names the process in each line ("manager", "link", "worker 0"); copied. Call once at start.
 */
void log_init(const char *who, enum log_level most);

/* fmt: "key=%s key=%d ..."; may be "". At most about 1,000 bytes are written, in one write. */
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF(3, 4);

#define log_error(event, ...) log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_DEBUG, event, __VA_ARGS__)
