#pragma once

/* Between explain_model.c and explain_key.c. */

#include "api/reply.h"

struct explained {
    const char *field;
    const yyjson_mut_val *value;
    struct str from, id; /* id empty: none */
    bool decides;
};

static inline void explain_put(struct call *c, yyjson_mut_val *list, const struct explained *e)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = row_new(s);

    row_put_text(s, row, "field", str_of(e->field));
    row_put(s, row, "value", e->value);
    row_put_text(s, row, "from", e->from);
    if (e->id.n)
        row_put_text(s, row, "id", e->id);
    row_put_bool(s, row, "decides", e->decides);
    row_append(s, list, row);
}
