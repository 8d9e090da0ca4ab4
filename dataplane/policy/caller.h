#pragma once

/*
 * Who calls: the key and everything it names, looked up once per request in what the control plane
 * published, and the end user and tags the request names. Borrows from `identities`, which the
 * request holds a reference to, and from the request.
 */

#include "common/arena.h"

#include "snapshot/identity.h"
#include "snapshot/view.h"

enum { CALLER_TAGS = 16 };

struct caller_tag {
    struct str name;
    struct identity_found found; /* {NULL}: it has no row */
};

struct caller {
    struct identities *identities; /* NULL: nothing was published */
    struct identity_found key, team, user, member, organization, project, end_user;
    struct str end_user_id;   /* empty: the request names none */
    struct str budget_groups; /* of models, whose budget it counts in; a NUL between two */
    unsigned n_tags;
    bool is_admin;          /* a key of a proxy admin */
    struct caller_tag *tag; /* CALLER_TAGS, in the arena, once there is one */
};

static inline bool found(const struct identity_found *f)
{
    return f->identity != NULL;
}

/* Its counters; SNAP_NONE: it has none. */
static inline uint32_t found_slot(const struct identity_found *f)
{
    return f->identity ? f->identity->slot : SNAP_NONE;
}

static inline struct str found_id(const struct identity_found *f)
{
    return f->identity ? identity_id(f) : (struct str){0};
}

/* What stands for it in counters with a name (counters_pair). */
static inline uint64_t found_owner(const struct identity_found *f)
{
    struct str id = found_id(f);
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (f->identity ? f->identity->kind : 0u);

    for (size_t i = 0; i < id.n; i++)
        h = (h ^ (unsigned char)id.p[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 32;
}

/* A key's hash as people see it, 64 hex digits; in the arena. */
struct str key_hash_text(struct arena *a, const struct identity_found *key);

static inline struct str found_alias(const struct identity_found *f)
{
    return f->identity ? identity_alias(f) : (struct str){0};
}

/* Element i of one of its lists of names; false behind the last. */
static inline bool found_name(const struct identity_found *f, struct snap_ref list, uint32_t i,
                              struct str *ret)
{
    const struct snap_ref *r = SNAP_AT(f->s, list, struct snap_ref, i);

    if (!r)
        return false;
    *ret = snap_str(f->s, *r);
    return true;
}

/* Who answers for the names a request makes up: its team, else its user, else its key; not 0. */
static inline uint32_t caller_tenant(const struct caller *c)
{
    const struct identity_found *who = found(&c->team)   ? &c->team
                                       : found(&c->user) ? &c->user
                                                         : &c->key;

    return (uint32_t)found_owner(who) | 1;
}

/* What `key` names. Of a rotated key in its grace period the one that came after it counts. */
void caller_resolve(struct caller *c, struct identities *i, struct identity_found key);

/* Adds a tag, once; false when there is no room. */
bool caller_tag_add(struct caller *c, struct str name, struct arena *a);

/*
 * Tags in a JSON list of texts, and in a comma-separated header; those of the key and of its team.
 * Decoded names lie in the arena.
 */
void caller_tags_json(struct caller *c, struct str json, struct arena *a);
void caller_tags_header(struct caller *c, struct str value, struct arena *a);
void caller_tags_own(struct caller *c, struct arena *a);

/* Who the request is made for. */
void caller_end_user(struct caller *c, struct str id);

/* A member of the key's metadata, as written; empty: it has none. */
struct str metadata_member(const struct identity_found *f, struct str name);
