#pragma once

/* Features a Messages request must announce in its header `anthropic-beta` (messages_betas.def). */

#include "common/arena.h"

enum messages_beta {
#define BETA(id, flag, tools) BETA_##id,
#include "dialect/messages_betas.def"
#undef BETA
    BETAS,
};

/* What a tool of this type needs: bits of enum messages_beta. */
uint32_t messages_beta_of_tool(struct str type);

/* `sent`, a list of flags, with those of `betas` that it lacks behind it; in the arena. */
struct str messages_beta_list(struct str sent, uint32_t betas, struct arena *a);
