#pragma once

/*
 * The record of changes: an entry in LiteLLM_AuditLog with who, what, before and after, and one in
 * weir.audit_origin with from where; both in the transaction of the change, so that there is none
 * without the other. Secrets appear as ids and hashes: handlers pass rows, which hold no others but
 * those audit.c masks.
 */

#include "api/call.h"

enum audit_action { AUDIT_CREATED, AUDIT_UPDATED, AUDIT_DELETED, AUDIT_BLOCKED, AUDIT_ROTATED };

/* `before` and `after` may be NULL; with both, `after` holds what changed. */
void audit_write(struct call *c, enum audit_action action, enum table t, struct str object_id,
                 const yyjson_mut_val *before, const yyjson_mut_val *after);

static inline void audit_created(struct call *c, enum table t, struct str id,
                                 const yyjson_mut_val *row)
{
    audit_write(c, AUDIT_CREATED, t, id, NULL, row);
}

/* `changes`: the members that changed. */
static inline void audit_updated(struct call *c, enum table t, struct str id,
                                 const yyjson_mut_val *before, const yyjson_mut_val *changes)
{
    audit_write(c, AUDIT_UPDATED, t, id, before, changes);
}

static inline void audit_deleted(struct call *c, enum table t, struct str id,
                                 const yyjson_mut_val *row)
{
    audit_write(c, AUDIT_DELETED, t, id, row, NULL);
}

/* Who is held to have done it: litellm-changed-by, else the caller. */
struct str audit_actor(const struct call *c);
