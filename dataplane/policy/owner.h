#pragma once

/*
 * Whose a response is, as LiteLLM tells them apart: the user and the team of the key that made it;
 * of a key with neither the key itself. Whoever has the user, and the team where there was one, may
 * have it again.
 */

#include "dialect/response_id.h"
#include "policy/caller.h"

enum { OWNER_CLAIMS = 3 };

/* Under whom the caller's own responses stand. */
struct response_owner owner_of(const struct caller *c);

/* Under whom it may have some: its own first. Their number. */
unsigned owner_claims(const struct caller *c, struct response_owner ret[OWNER_CLAIMS]);
