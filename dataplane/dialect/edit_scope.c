/* The conditions of an edit, cheapest first. */

#include "dialect/edit_scope.h"

#include "common/gateway/glob.h"

bool edit_is_side(enum edit_side side, const struct edit_scope *c)
{
    if (c->client == c->upstream || side == EDIT_EACH)
        return true;
    return c->body == (side == EDIT_SENT ? c->upstream : edit_openai_side(c->client, c->upstream));
}

bool edit_applies(const struct snapshot *s, const struct snap_edit *e,
                  const struct edit_scope *scope)
{
    return e->apis & BIT(scope->body) && (scope->can & e->has) == e->has &&
           !(scope->can & e->lacks) && edit_is_side((enum edit_side)e->side, scope) &&
           globs_match(snap_str(s, e->when_model), scope->model);
}
