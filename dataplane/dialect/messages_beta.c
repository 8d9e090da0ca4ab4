/* The table of beta flags, and the header made of it. */

#include "dialect/messages_beta.h"

#include "common/gateway/glob.h"

static const struct {
    struct str flag, tools;
} betas_table[] = {
#define BETA(id, flag, tools) [BETA_##id] = {STR_INIT(flag), STR_INIT(tools)},
#include "dialect/messages_betas.def"
#undef BETA
};

uint32_t messages_beta_of_tool(struct str type)
{
    uint32_t betas = 0;

    for (unsigned i = 0; i < BETAS; i++)
        if (globs_match(betas_table[i].tools, type))
            betas |= BIT(i);
    return betas;
}

static bool listed(struct str list, struct str flag)
{
    struct str one;

    while (list.n) {
        str_cut(list, ',', &one, &list);
        if (str_eq(str_trim(one), flag))
            return true;
    }
    return false;
}

struct str messages_beta_list(struct str sent, uint32_t betas, struct arena *a)
{
    struct str list = sent;

    for (unsigned i = 0; i < BETAS; i++)
        if (betas & BIT(i) && !listed(sent, betas_table[i].flag))
            list = arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(list), list.n ? "," : "",
                                STR_ARG(betas_table[i].flag));
    return list;
}
