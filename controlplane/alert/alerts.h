#pragma once

/*
 * Alerts of soft budgets, as LiteLLM's `alerting` has them: JSON to WEBHOOK_URL, a message to a
 * Slack webhook, e-mails. A thread with a connection of its own, so that a receiver that is slow or
 * dead delays other alerts and nothing else. An alert is raised once for each period of a budget
 * (weir.alert), by whichever control plane sees it first, and sent a bounded number of times until
 * it is taken (weir.alert_send).
 */

#include "common/err.h"

struct alerts;
struct daemon;

/* Begins, unless nobody is to be told: *ret_a is NULL then. `d` is borrowed until alerts_free(). */
MUST_CHECK enum errc alerts_new(struct alerts **ret_a, const struct daemon *d, struct err *e);
struct alerts *alerts_free(struct alerts *a);
