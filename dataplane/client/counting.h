#pragma once

/* Token counts answered here: of models whose provider does not count, and /utils/token_counter. */

#include "client/request.h"

/* Answers POST /messages/count_tokens for r->deployment with an estimate, marked as one. */
void counting_messages(struct request *r);

/* Answers POST /utils/token_counter, whose body is read. */
void counting_utility(struct request *r);
