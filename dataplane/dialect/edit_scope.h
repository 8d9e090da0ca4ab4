#pragma once

/* Which edits of a deployment are for a body. */

#include "provider/edit.h"
#include "snapshot/view.h"

struct edit_scope {
    enum api body;             /* the API it is of */
    enum api client, upstream; /* of the request */
    struct str model;          /* sent upstream */
    uint32_t can;              /* enum capability */
};

bool edit_is_side(enum edit_side side, const struct edit_scope *scope);

/* All but only_while, which the body itself decides. */
bool edit_applies(const struct snapshot *s, const struct snap_edit *e,
                  const struct edit_scope *scope);
