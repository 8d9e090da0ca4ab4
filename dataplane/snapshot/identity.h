#pragma once

/*
 * Who may call: keys, teams, users and the rest of what the control plane publishes, as workers see
 * it. Two files, each immutable and sealed as a generation is: a base with everything, and a small
 * overlay with what changed since the base was built. The link makes a new overlay with every
 * change and now and then a new base of both. Private to one build, like a generation
 * (snapshot/layout.h).
 *
 * Every entity has a slot: a number the link gives it, which stays its own over all bases and
 * overlays and is used again only two bases after it is gone. Entities name each other by slot, and
 * their counters (shared/counters.h) lie at it. Spend is never here.
 */

#include "snapshot/view.h"

#define IDENTITY_MAGIC UINT64_C(0x31444e4549524557)
enum { IDENTITY_VERSION = 2, IDENTITY_HASH = 32 };

enum identity_kind {
    IDENTITY_KEY,
    IDENTITY_TEAM,
    IDENTITY_USER,
    IDENTITY_MEMBER, /* of a team; its id is team, NUL, user */
    IDENTITY_ORGANIZATION,
    IDENTITY_PROJECT,
    IDENTITY_END_USER,
    IDENTITY_TAG,
    IDENTITY_ACCESS_GROUP,
    IDENTITY_BUDGET,       /* of end users who have none */
    IDENTITY_GROUP_BUDGET, /* of a name in model_info.access_groups */
    IDENTITY_KINDS
};

enum identity_flags {
    IDENTITY_GONE = BIT(0), /* not there, whatever the base says; kept while others name it */
    IDENTITY_BLOCKED = BIT(1),
    IDENTITY_LIMITED = BIT(2),   /* its rules hold a limit: there are counters to look at */
    IDENTITY_SUCCEEDED = BIT(3), /* a rotated key in its grace period */
    IDENTITY_GUARDED = BIT(4),   /* its rules hold what few have: policy/guards.h looks at them */
};

enum identity_role { /* of users, as LiteLLM_UserTable has them */
                     ROLE_NONE,
                     ROLE_PROXY_ADMIN,
                     ROLE_PROXY_ADMIN_VIEWER,
                     ROLE_ORG_ADMIN,
                     ROLE_INTERNAL_USER,
                     ROLE_INTERNAL_USER_VIEWER,
                     ROLE_TEAM,
                     ROLE_CUSTOMER,
                     ROLE_OTHER
};

enum { LIMIT_NONE = -1 }; /* a limit of 0 is one */

enum { IDENTITY_WINDOWS = 8 }; /* budgets over everything an entity may have */

struct identity_model_limit {
    struct snap_ref model;             /* empty: a budget over everything */
    int64_t tpm, rpm, max_budget_nusd; /* LIMIT_NONE: none */
    int64_t reset_us; /* when the budget begins anew; 0: so long after its first use */
    struct snap_ref budget_duration; /* "30d" */
};

/* What many entities have in common: equal ones are stored once. */
struct identity_rules {
    struct snap_ref models;        /* struct snap_ref[]: names, patterns, groups of models */
    struct snap_ref access_groups; /* uint32_t[]: slots */
    struct snap_ref aliases;       /* struct snap_ref[], pairs of name and model */
    struct snap_ref routes;        /* struct snap_ref[]: allowed ones; none: all */
    struct snap_ref ips;           /* struct snap_ref[] */
    struct snap_ref tags;          /* struct snap_ref[] */
    struct snap_ref metadata;      /* JSON, or empty */
    struct snap_ref model_limits;  /* struct identity_model_limit[] */
    struct snap_ref default_model; /* of an end user */
    int64_t max_budget_nusd, soft_budget_nusd, tpm, rpm, parallel; /* LIMIT_NONE: none */
    int64_t extra_budget_nusd, extra_until_us;
    struct snap_ref budget_duration;
    uint32_t apis; /* reserved: 0 */
    uint32_t reserved;
};

/* A cache line. Its texts lie behind each other: id, name, alias; identity_id() and so on. */
struct identity {
    uint32_t text;
    uint16_t id_n; /* of a key: IDENTITY_HASH, its SHA-256 in raw bytes */
    uint16_t name_n, alias_n;
    uint8_t kind;   /* enum identity_kind */
    uint8_t role;   /* of a user: enum identity_role */
    uint16_t flags; /* enum identity_flags */
    uint16_t reserved;
    uint32_t slot;
    uint32_t rules;                                     /* index of identity_header.rules */
    uint32_t team, user, member, organization, project; /* slots, SNAP_NONE: none */
    uint32_t successor;      /* slot of the new key, with IDENTITY_SUCCEEDED */
    int64_t expires_us;      /* 0: never */
    int64_t budget_reset_us; /* 0: never */
};

struct identity_header {
    uint64_t magic;
    uint32_t version, header_size;
    uint64_t total_size;
    uint64_t n;                 /* grows with every base and overlay of one link */
    uint64_t base;              /* n of the base an overlay lies over; of a base its own */
    uint64_t epoch, revision;   /* of the control plane */
    uint64_t numbering;         /* slots of another numbering mean other entities */
    struct snap_ref identities; /* struct identity[] */
    struct snap_ref rules;      /* struct identity_rules[] */
    struct snap_ref by_slot;    /* base: uint32_t[], index by slot; overlay: as by_id, by
                                   identity_slot_hash(); SNAP_NONE: none */
    struct snap_ref by_id;      /* uint32_t[], size a power of two: open addressing by
                                   identity_hash(); identity_word() of it; SNAP_NONE: free */
};

static_assert(sizeof(struct identity) == 64, "layout");
static_assert(sizeof(struct identity_rules) % 8 == 0, "layout");
static_assert(sizeof(struct identity_header) % 8 == 0, "layout");

/* A key's id is random already. */
static inline uint32_t identity_hash(enum identity_kind kind, struct str id)
{
    uint32_t h;

    if (kind != IDENTITY_KEY)
        return snap_hash(id.p, id.n) * 31 + (uint32_t)kind;
    memcpy(&h, id.p, sizeof h); /* IDENTITY_HASH bytes */
    return h;
}

static inline uint32_t identity_slot_hash(uint32_t slot)
{
    return slot * UINT32_C(0x9e3779b1);
}

/* What an index of `size` places holds: below the mask where, above it the rest of the hash, so
 * that another entity's place is passed without looking at it. */
static inline uint32_t identity_word(uint32_t hash, uint32_t at, uint32_t size)
{
    return (hash & ~(size - 1)) | at;
}

/* ---- as a worker reads it: no allocation, nothing outside the files whatever they hold ---- */

struct identities; /* a base and an overlay, counted */

/*
 * Maps and checks a base and the overlay over it (descriptors borrowed). Gives one reference.
 * ERRC_INVALID when one is damaged, or the overlay lies over another base; ERRC_SYS.
 */
MUST_CHECK enum errc identities_open(struct identities **ret_i, int base_fd, int overlay_fd,
                                     struct err *e);
/* The same base with another overlay: nothing of the base is mapped or checked again. */
MUST_CHECK enum errc identities_over(struct identities **ret_i, struct identities *base_of,
                                     int overlay_fd, struct err *e);
struct identities *identities_ref(struct identities *i);
struct identities *identities_unref(struct identities *i);

const struct identity_header *identities_base(const struct identities *i);
const struct identity_header *identities_overlay(const struct identities *i);

/* An entity with the file it lies in, for the functions below. All NULL: there is none. */
struct identity_found {
    const struct snapshot *s; /* what snap_str() and SNAP_AT() take */
    const struct identity *identity;
    const struct identity_rules *rules;
};

static inline struct str identity_text(const struct snapshot *s, const struct identity *i,
                                       uint32_t from, uint32_t n)
{
    return snap_str(s, (struct snap_ref){i->text + from, n});
}

/* A key: its SHA-256 in IDENTITY_HASH raw bytes; a member: team, NUL, user; else as published. */
static inline struct str identity_id(const struct identity_found *f)
{
    return identity_text(f->s, f->identity, 0, f->identity->id_n);
}

/* A key: sk-...abcd; a user: its e-mail. */
static inline struct str identity_name(const struct identity_found *f)
{
    return identity_text(f->s, f->identity, f->identity->id_n, f->identity->name_n);
}

static inline struct str identity_alias(const struct identity_found *f)
{
    return identity_text(f->s, f->identity, (uint32_t)f->identity->id_n + f->identity->name_n,
                         f->identity->alias_n);
}

/* By its SHA-256 (IDENTITY_HASH bytes). */
struct identity_found identities_key(const struct identities *i, const unsigned char *hash);
struct identity_found identities_get(const struct identities *i, uint32_t slot);
struct identity_found identities_named(const struct identities *i, enum identity_kind kind,
                                       struct str id);
