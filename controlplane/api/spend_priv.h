#pragma once

/* Between the files of log rows. */

#include "api/spend.h"

#define MCP   "('call_mcp_tool', 'list_mcp_tools')"
#define AGENT "'asend_message'"

/* Sums of the sessions that rows belong to, as members of each row; of the same key only, since
 * anybody can name a session. */
struct str *spend_session_sums(struct call *c, struct rows page);

/* The page as LiteLLM shows it; `more` members of each row (or NULL), `behind` of the page. */
void spend_reply_page(struct call *c, const struct log_page *p, const struct str *more,
                      struct str behind);

/* A page with a row a session; gives members of the page: where the next one begins. */
struct str spend_sessions(struct call *c, const struct log_query *q, struct log_page *ret);
