#pragma once

/*
 * A caller with everybody who may stand behind one, a generation, counters, and a request: what the
 * checks are asked about. Tests say what is wrong with it by numbers, WRONG() of their own list.
 */

#include <fcntl.h>

#include "dataplane/snapshot/entities.h"
#include "policy/ask.h"

enum { KEY = 1, NOW_S = 1790000000, WINDOW_S = 60 };
#define NOW_US (INT64_C(1000000) * NOW_S)

/* The generation: groups "gpt" of the access group "beta", and "free", which costs nothing. */
static struct {
    struct snap_header h;
    struct snap_group g[2];
    struct snap_ref lists[8];
    char text[1024];
} image;
static struct snapshot snap = {.base = (const char *)&image, .size = sizeof image, .h = &image.h};
static size_t image_text_n;

static struct snap_ref snap_text(const char *s)
{
    size_t at = image_text_n, n = strlen(s);

    assert_true(at + n <= sizeof image.text);
    memcpy(image.text + at, s, n);
    image_text_n += n;
    return (struct snap_ref){(uint32_t)(offsetof(__typeof__(image), text) + at), (uint32_t)n};
}

/* A list of one name. */
static struct snap_ref snap_list(unsigned place, const char *s)
{
    image.lists[place] = snap_text(s);
    return (struct snap_ref){
        (uint32_t)(offsetof(__typeof__(image), lists) + place * sizeof image.lists[0]), 1};
}

static void snap_make(void)
{
    memset(&image, 0, sizeof image);
    image_text_n = 0;
    image.g[0] =
        (struct snap_group){.name = snap_text("gpt"), .access_groups = snap_list(0, "beta")};
    image.g[1] = (struct snap_group){.name = snap_text("free"), .flags = SNAP_GROUP_FREE};
    image.h.settings = (struct snap_settings){
        .max_budget_nusd = -1, .max_end_user_budget_nusd = -1, .limit_window_s = WINDOW_S};
}

/* ---- entities: all limits at hand, absent ones LIMIT_NONE ---- */

struct bounds {
    int64_t budget, tpm, rpm, parallel;
    const char *model; /* a limit of it, or of a pattern */
    int64_t model_budget, model_rpm;
    int64_t window; /* budget_limits: one of 1d */
};
#define NO_BOUNDS                                                                                  \
    ((struct bounds){LIMIT_NONE, LIMIT_NONE, LIMIT_NONE, LIMIT_NONE, NULL, LIMIT_NONE, LIMIT_NONE, \
                     LIMIT_NONE})

struct limits_of { /* storage of a message */
    Weir__Limits l;
    Weir__Bound b[7];
    Weir__ModelLimit m[2], *list[2];
};

static Weir__Bound *bound_of(struct limits_of *s, unsigned i, int64_t v)
{
    weir__bound__init(&s->b[i]);
    s->b[i].value = v;
    return v == LIMIT_NONE ? NULL : &s->b[i];
}

static Weir__Limits *limits_of(struct limits_of *s, const struct bounds *b)
{
    size_t n = 0;

    weir__limits__init(&s->l);
    s->l.max_budget_nusd = bound_of(s, 0, b->budget);
    s->l.tpm = bound_of(s, 1, b->tpm);
    s->l.rpm = bound_of(s, 2, b->rpm);
    s->l.parallel = bound_of(s, 3, b->parallel);
    for (unsigned i = 0; i < 2; i++) {
        Weir__ModelLimit *m = s->list[n] = &s->m[n];
        if (i ? b->window == LIMIT_NONE : !b->model)
            continue;
        weir__model_limit__init(m);
        m->budget_duration = (char *)(uintptr_t) "1d";
        m->max_budget_nusd = bound_of(s, 4 + i, i ? b->window : b->model_budget);
        if (!i) {
            m->model = BYTES(b->model);
            m->rpm = bound_of(s, 6, b->model_rpm);
        }
        n++;
    }
    s->l.models = s->list;
    s->l.n_models = n;
    return &s->l;
}

enum whom { W_KEY, W_TEAM, W_USER, W_MEMBER, W_ORG, W_PROJECT, W_END_USER, W_TAG, W_GROUP, WHOM };

struct world_of {
    struct bounds bounds[WHOM];
    const char *model[WHOM]; /* the only one of its list; NULL: no list */
    bool blocked[WHOM];
    const char *metadata[WHOM]; /* of key and team */
    const char *route, *ip;
    int64_t expires_us;
    const char *end_user; /* who the request is for; NULL: nobody */
    const char *tag, *body;
    bool personal; /* no team */
};

static void world_of_nothing(struct world_of *o)
{
    *o = (struct world_of){.end_user = "eve", .tag = "ads", .body = "{\"model\":\"gpt\"}"};
    for (unsigned i = 0; i < WHOM; i++)
        o->bounds[i] = NO_BOUNDS;
}

struct world {
    struct plane p;
    struct counters counters;
    struct arena arena;
    struct caller caller;
    struct request_scan scan;
    struct ask k;
    unsigned holds; /* how often it was asked to hold */
    struct charges held;
    bool refuses_holds;
};

#define ENTITY(field, kind, message)                                                               \
    do {                                                                                           \
        Weir__Entity en = WEIR__ENTITY__INIT;                                                      \
        en.is_case = WEIR__ENTITY__IS_##kind;                                                      \
        en.field = (message);                                                                      \
        plane_apply(&w->p, &en);                                                                   \
    } while (0)

/* One entity after the other: `models` and `limits` are of the one at hand. */
static void world_entities(struct world *w, const struct world_of *o)
{
    static unsigned char hash[IDENTITY_HASH];
    struct limits_of s;
    ProtobufCBinaryData models, one;
#define LIST(m, who)                                                                               \
    (models = BYTES(o->model[who] ? o->model[who] : ""), (m).models = &models,                     \
     (m).n_models = o->model[who] != NULL, (m).limits = limits_of(&s, &o->bounds[who]))

    Weir__Organization org = WEIR__ORGANIZATION__INIT;
    org.id = BYTES("o1");
    LIST(org, W_ORG);
    ENTITY(organization, ORGANIZATION, &org);
    Weir__Team team = WEIR__TEAM__INIT;
    team.id = BYTES("t1");
    team.blocked = o->blocked[W_TEAM];
    team.metadata = BYTES(o->metadata[W_TEAM] ? o->metadata[W_TEAM] : "");
    LIST(team, W_TEAM);
    ENTITY(team, TEAM, &team);
    Weir__User user = WEIR__USER__INIT;
    user.id = BYTES("u1");
    user.blocked = o->blocked[W_USER];
    LIST(user, W_USER);
    ENTITY(user, USER, &user);
    Weir__Member member = WEIR__MEMBER__INIT;
    member.team = BYTES("t1");
    member.user = BYTES("u1");
    LIST(member, W_MEMBER);
    ENTITY(member, MEMBER, &member);
    Weir__Project project = WEIR__PROJECT__INIT;
    project.id = BYTES("p1");
    project.team = BYTES("t1");
    project.blocked = o->blocked[W_PROJECT];
    LIST(project, W_PROJECT);
    ENTITY(project, PROJECT, &project);
    Weir__EndUser end_user = WEIR__END_USER__INIT;
    end_user.id = BYTES("eve");
    end_user.blocked = o->blocked[W_END_USER];
    LIST(end_user, W_END_USER);
    ENTITY(end_user, END_USER, &end_user);
    Weir__Tag tag = WEIR__TAG__INIT;
    tag.name = BYTES("ads");
    LIST(tag, W_TAG);
    ENTITY(tag, TAG, &tag);
    Weir__GroupBudget group = WEIR__GROUP_BUDGET__INIT;
    group.name = BYTES("beta");
    group.limits = limits_of(&s, &o->bounds[W_GROUP]);
    ENTITY(group_budget, GROUP_BUDGET, &group);
    Weir__Key key = WEIR__KEY__INIT;
    key_hash(hash, KEY);
    key.hash = (ProtobufCBinaryData){IDENTITY_HASH, hash};
    key.name = BYTES("sk-...abcd");
    key.team = BYTES(o->personal ? "" : "t1");
    key.user = BYTES("u1");
    key.organization = BYTES("o1");
    key.project = BYTES("p1");
    key.blocked = o->blocked[W_KEY];
    key.expires_us = o->expires_us;
    key.metadata = BYTES(o->metadata[W_KEY] ? o->metadata[W_KEY] : "");
    one = BYTES(o->route ? o->route : "");
    key.allowed_routes = &one;
    key.n_allowed_routes = o->route != NULL;
    ProtobufCBinaryData ip = BYTES(o->ip ? o->ip : "");
    key.allowed_ips = &ip;
    key.n_allowed_ips = o->ip != NULL;
    LIST(key, W_KEY);
    ENTITY(key, KEY, &key);
#undef LIST
}

static bool world_hold(void *ctx, const struct charges *c)
{
    struct world *w = ctx;

    w->holds++;
    charges_copy(&w->held, c);
    return !w->refuses_holds;
}

static struct str no_header(const void *ctx, struct str name, bool *ret_repeated)
{
    (void)ctx;
    (void)name;
    (void)ret_repeated;
    return (struct str){0};
}

/* The request as it would be asked about, anew: the counters stay. */
static void world_ask(struct world *w, const struct world_of *o)
{
    struct str body = str_of(o->body);

    w->caller = (struct caller){0};
    caller_resolve(&w->caller, w->p.view, get_key(&w->p, KEY));
    assert_true(found(&w->caller.key));
    caller_end_user(&w->caller, o->end_user ? str_of(o->end_user) : STR(""));
    if (o->tag)
        assert_true(caller_tag_add(&w->caller, str_of(o->tag), &w->arena));
    request_scan_init(&w->scan, &w->arena);
    assert_int_equal(request_scan_feed(&w->scan, body.p, body.n), REQUEST_SCAN_DONE);
    w->k = (struct ask){
        .s = &snap,
        .caller = &w->caller,
        .counters = &w->counters,
        .arena = &w->arena,
        .is_inference = true,
        .api = API_CHAT,
        .path = STR("/v1/chat/completions"),
        .client_ip = STR("127.0.0.1"),
        .presented = STR("sk-0123456789"),
        .model = STR("gpt"),
        .dispatched = STR("gpt"),
        .group = &image.g[0],
        .scan = &w->scan,
        .body = body,
        .now_us = NOW_US,
        .header = no_header,
        .hold = world_hold,
        .hold_ctx = w,
    };
}

static void world_open(struct world *w, const struct world_of *o)
{
    static const struct directory_options plain = {0};
    char path[64];
    struct err e;
    int fd;

    memset(w, 0, sizeof *w);
    plane_open(&w->p, &plain);
    world_entities(w, o);
    plane_seal(&w->p, 1);
    (void)snprintf(path, sizeof path, "/tmp/weir-policy-%d", (int)getpid());
    assert_int_equal(counters_make(path, &fd, &e), ERRC_OK);
    (void)unlink(path);
    assert_int_equal(counters_map(&w->counters, fd, &e), ERRC_OK);
    arena_init(&w->arena, NULL, 1 << 20);
    world_ask(w, o);
}

static void world_close(struct world *w)
{
    int fd = w->counters.fd;

    arena_reset(&w->arena);
    counters_unmap(&w->counters);
    (void)close(fd);
    plane_close(&w->p);
}
