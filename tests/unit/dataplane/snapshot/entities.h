#pragma once

/* Entities as a control plane would send them, and a directory with what it gives. */

#include <unistd.h>

#include "snapshot/directory.h"
#include "snapshot/identity.h"
#include "test.h"

#define BYTES(s) ((ProtobufCBinaryData){.len = strlen(s), .data = (uint8_t *)(uintptr_t)(s)})

static inline void key_hash(unsigned char out[IDENTITY_HASH], uint32_t number)
{
    uint64_t z = number;

    for (unsigned i = 0; i < IDENTITY_HASH; i += 8) { /* as random as a digest */
        z = (z + UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
        z ^= z >> 29;
        memcpy(out + i, &z, 8);
    }
}

/* A directory, and the view of a worker that adopts everything it gives. */
struct plane {
    struct directory *d;
    struct identities *view;
    uint64_t revision;
    unsigned bases;          /* given out */
    int base_fd, overlay_fd; /* the last ones */
};

static inline void plane_seal(struct plane *p, uint64_t revision)
{
    struct directory_revision r = {7, p->revision = revision};
    struct identities *newer;
    struct err e;
    int base, overlay;

    if (directory_seal(p->d, r, &base, &overlay, &e)) {
        print_error("seal: %s\n", e.msg);
        fail();
    }
    if (overlay < 0)
        return;
    enum errc rc = base >= 0 ? identities_open(&newer, base, overlay, &e)
                             : identities_over(&newer, p->view, overlay, &e);
    if (rc) {
        print_error("view: %s\n", e.msg);
        fail();
    }
    p->view = identities_unref(p->view);
    p->view = newer;
    if (base >= 0) {
        p->bases++;
        if (p->base_fd >= 0)
            (void)close(p->base_fd);
        p->base_fd = base;
    }
    if (p->overlay_fd >= 0)
        (void)close(p->overlay_fd);
    p->overlay_fd = overlay;
}

static inline void plane_apply(struct plane *p, const Weir__Entity *en)
{
    struct err e;

    if (directory_apply(p->d, en, &e)) {
        print_error("apply: %s\n", e.msg);
        fail();
    }
}

static inline void plane_open(struct plane *p, const struct directory_options *o)
{
    *p = (struct plane){.d = directory_new(o), .base_fd = -1, .overlay_fd = -1};
    assert_non_null(p->d);
}

static inline void plane_close(struct plane *p)
{
    p->d = directory_free(p->d);
    p->view = identities_unref(p->view);
    if (p->base_fd >= 0)
        (void)close(p->base_fd);
    if (p->overlay_fd >= 0)
        (void)close(p->overlay_fd);
}

/* ---- entities ---- */

struct key_of {
    const char *team, *user, *alias, *models[2];
    bool blocked, gone;
    int64_t budget_nusd; /* 0: none */
    int64_t spend_nusd;
};

static inline void put_key(struct plane *p, uint32_t number, struct key_of k)
{
    unsigned char hash[IDENTITY_HASH];
    Weir__Key key = WEIR__KEY__INIT;
    Weir__Limits limits;
    Weir__Bound budget = WEIR__BOUND__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;
    ProtobufCBinaryData models[2];

    key_hash(hash, number);
    weir__limits__init(&limits);
    key.hash = (ProtobufCBinaryData){IDENTITY_HASH, hash};
    key.name = BYTES("sk-...abcd");
    key.alias = BYTES(k.alias ? k.alias : "");
    key.team = BYTES(k.team ? k.team : "");
    key.user = BYTES(k.user ? k.user : "");
    for (size_t i = 0; i < 2 && k.models[i]; i++) {
        models[i] = BYTES(k.models[i]);
        key.n_models = i + 1;
    }
    key.models = models;
    key.blocked = k.blocked;
    key.spend_nusd = k.spend_nusd;
    if (k.budget_nusd) {
        budget.value = k.budget_nusd;
        limits.max_budget_nusd = &budget;
        key.limits = &limits;
    }
    en.is_case = WEIR__ENTITY__IS_KEY;
    en.key = &key;
    en.gone = k.gone;
    plane_apply(p, &en);
}

static inline void put_team(struct plane *p, const char *id, const char *alias, bool gone)
{
    Weir__Team team = WEIR__TEAM__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;

    team.id = BYTES(id);
    team.alias = BYTES(alias);
    en.is_case = WEIR__ENTITY__IS_TEAM;
    en.team = &team;
    en.gone = gone;
    plane_apply(p, &en);
}

static inline void put_member(struct plane *p, const char *team, const char *user, bool gone)
{
    Weir__Member member = WEIR__MEMBER__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;

    member.team = BYTES(team);
    member.user = BYTES(user);
    en.is_case = WEIR__ENTITY__IS_MEMBER;
    en.member = &member;
    en.gone = gone;
    plane_apply(p, &en);
}

static inline void put_model(struct plane *p, const char *id, const char *params, bool gone)
{
    Weir__Model model = WEIR__MODEL__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;

    model.id = BYTES(id);
    model.litellm_params = BYTES(params);
    en.is_case = WEIR__ENTITY__IS_MODEL;
    en.model = &model;
    en.gone = gone;
    plane_apply(p, &en);
}

static inline struct identity_found get_key(const struct plane *p, uint32_t number)
{
    unsigned char hash[IDENTITY_HASH];

    key_hash(hash, number);
    return identities_key(p->view, hash);
}
