#pragma once

/* Canned answers: `mock_response` of a deployment or of a trusted request, without any upstream
 * (litellm-dataplane.md 13). */

#include "client/request.h"

/* Answers with `json`, a JSON string with quotes; empty: the deployment's mock_response. Finishes
 * the request. */
void mock_reply(struct request *r, struct str json);
