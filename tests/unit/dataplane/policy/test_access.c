/* Models a caller may name: rows of who it is against what is asked. */

#include "dataplane/snapshot/entities.h"
#include "policy/access.h"
#include "policy/budget.h"

enum { KEY = 1 };

/* A generation of two groups, "gpt" of the access group "beta" and "claude". */
static struct {
    struct snap_header h;
    struct snap_group g[2];
    struct snap_ref beta;
    char text[64];
} image;
static struct snapshot snap = {.base = (const char *)&image, .size = sizeof image, .h = &image.h};

static struct snap_ref text_at(size_t at, const char *s)
{
    memcpy(image.text + at, s, strlen(s));
    return (struct snap_ref){(uint32_t)(offsetof(__typeof__(image), text) + at),
                             (uint32_t)strlen(s)};
}

static const struct snap_group *group_named(const char *name)
{
    image.g[0].name = text_at(0, "gpt");
    image.g[1].name = text_at(8, "claude");
    image.beta = text_at(16, "beta");
    image.g[0].access_groups = (struct snap_ref){offsetof(__typeof__(image), beta), 1};
    return !name ? NULL : &image.g[strcmp(name, "gpt") != 0];
}

struct who {
    const char *key[3], *team[3], *user[3], *group[3]; /* models of each, of an access group */
    const char *key_alias[2], *team_alias[2];          /* name, model */
    bool has_team, has_user, in_group;
};

static size_t list_of(ProtobufCBinaryData out[3], const char *const *names)
{
    size_t n = 0;

    for (; n < 3 && names[n]; n++)
        out[n] = BYTES(names[n]);
    return n;
}

static size_t alias_of(Weir__Alias *a, const char *const *pair)
{
    weir__alias__init(a);
    if (!pair[0])
        return 0;
    a->name = BYTES(pair[0]);
    a->model = BYTES(pair[1]);
    return 1;
}

static void put_who(struct plane *p, const struct who *w)
{
    unsigned char hash[IDENTITY_HASH];
    ProtobufCBinaryData models[4][3], group = BYTES("g1");
    Weir__Alias alias[2], *aliases[] = {&alias[0], &alias[1]};
    Weir__Key key = WEIR__KEY__INIT;
    Weir__Team team = WEIR__TEAM__INIT;
    Weir__User user = WEIR__USER__INIT;
    Weir__AccessGroup of = WEIR__ACCESS_GROUP__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;

    of.id = group;
    of.models = models[3];
    of.n_models = list_of(models[3], w->group);
    en.is_case = WEIR__ENTITY__IS_ACCESS_GROUP;
    en.access_group = &of;
    plane_apply(p, &en);

    user.id = BYTES("u1");
    user.models = models[2];
    user.n_models = list_of(models[2], w->user);
    en.is_case = WEIR__ENTITY__IS_USER;
    en.user = &user;
    plane_apply(p, &en);

    team.id = BYTES("t1");
    team.models = models[1];
    team.n_models = list_of(models[1], w->team);
    team.aliases = &aliases[1];
    team.n_aliases = alias_of(aliases[1], w->team_alias);
    en.is_case = WEIR__ENTITY__IS_TEAM;
    en.team = &team;
    plane_apply(p, &en);

    key_hash(hash, KEY);
    key.hash = (ProtobufCBinaryData){IDENTITY_HASH, hash};
    key.team = BYTES(w->has_team ? "t1" : "");
    key.user = BYTES(w->has_user ? "u1" : "");
    key.models = models[0];
    key.n_models = list_of(models[0], w->key);
    key.aliases = aliases;
    key.n_aliases = alias_of(aliases[0], w->key_alias);
    key.access_groups = &group;
    key.n_access_groups = w->in_group;
    en.is_case = WEIR__ENTITY__IS_KEY;
    en.key = &key;
    plane_apply(p, &en);
}

struct row {
    struct who who;
    const char *model, *group; /* asked, and the group that serves what it leads to */
    bool allowed, reach;       /* reach: the deployment itself is named, no alias counts */
};

static const struct row rows[] = {
    /* lists of the key */
    {{.key = {NULL}}, "gpt", "gpt", true, 0},
    {{.key = {NULL}}, "nope", NULL, true, 0}, /* nobody serves it: the next answer says so */
    {{.key = {"gpt"}}, "gpt", "gpt", true, 0},
    {{.key = {"gpt"}}, "claude", "claude", false, 0},
    {{.key = {"gpt"}}, "nope", NULL, false, 0},
    {{.key = {"GPT"}}, "gpt", "gpt", false, 0}, /* case counts */
    {{.key = {"gpt"}}, "GPT", NULL, false, 0},
    {{.key = {"gp"}}, "gpt", "gpt", false, 0},
    {{.key = {"gpt"}}, "gp", NULL, false, 0},
    {{.key = {""}}, "gpt", "gpt", false, 0}, /* a list of one empty name is no empty list */
    {{.key = {"*"}}, "claude", "claude", true, 0},
    {{.key = {"all-proxy-models"}}, "claude", "claude", true, 0},
    /* patterns */
    {{.key = {"c*"}}, "claude", "claude", true, 0},
    {{.key = {"c*"}}, "gpt", "gpt", false, 0},
    {{.key = {"*t"}}, "gpt", "gpt", true, 0},
    {{.key = {"openai/*"}}, "openai", NULL, false, 0},
    /* groups of models, and access groups */
    {{.key = {"beta"}}, "gpt", "gpt", true, 0},
    {{.key = {"beta"}}, "claude", "claude", false, 0},
    {{.key = {"beta"}}, "beta", NULL, true, 0}, /* its own name; nobody serves it */
    {{.key = {"claude"}, .group = {"gpt"}, .in_group = true}, "gpt", "gpt", true, 0},
    {{.key = {"claude"}, .group = {"gpt"}}, "gpt", "gpt", false, 0},
    {{.key = {"claude"}, .in_group = true},
     "gpt",
     "gpt",
     false,
     0}, /* an empty group opens nothing */
    /* a deployment by its id: its group decides */
    {{.key = {"gpt"}}, "id-1", "gpt", true, 0},
    {{.key = {"gpt"}}, "id-1", "claude", false, 0},
    {{.team = {"gpt"}, .has_team = true}, "id-1", "claude", false, 0},
    /* the team */
    {{.team = {"gpt"}, .has_team = true}, "gpt", "gpt", true, 0},
    {{.team = {"gpt"}, .has_team = true}, "claude", "claude", false, 0},
    {{.key = {"claude"}, .team = {"gpt"}, .has_team = true}, "claude", "claude", false, 0},
    {{.key = {"all-team-models"}, .team = {"gpt"}, .has_team = true}, "gpt", "gpt", true, 0},
    {{.key = {"all-team-models"}, .team = {"gpt"}, .has_team = true}, "claude", "claude", false, 0},
    {{.team = {"all-team-models"}, .has_team = true}, "gpt", "gpt", true, 0},
    {{.team = {"all-team-models"}, .has_team = true}, "nope", NULL, false, 0},
    /* the user: of personal keys alone */
    {{.user = {"gpt"}, .has_user = true}, "claude", "claude", false, 0},
    {{.user = {"gpt"}, .has_user = true, .has_team = true}, "claude", "claude", true, 0},
    {{.user = {"no-default-models"}, .has_user = true}, "gpt", "gpt", false, 0},
    {{.user = {"no-default-models", "*"}, .has_user = true}, "gpt", "gpt", false, 0},
    {{.user = {"no-default-models"}, .has_user = true, .has_team = true}, "gpt", "gpt", true, 0},
    /* aliases: the key's must lead to what is allowed, the team's opens what it leads to */
    {{.key = {"gpt"}, .key_alias = {"mine", "gpt"}}, "mine", "gpt", true, 0},
    {{.key = {"gpt"}, .key_alias = {"gpt", "claude"}}, "gpt", "claude", false, 0},
    {{.key = {"mine"}, .key_alias = {"mine", "claude"}}, "mine", "claude", false, 0},
    {{.key = {"gpt"}, .has_team = true, .team_alias = {"ours", "claude"}},
     "ours",
     "claude",
     true,
     0},
    {{.team = {"gpt"}, .has_team = true, .team_alias = {"ours", "claude"}},
     "ours",
     "claude",
     true,
     0},
    /* an alias of the key over the team's opens nothing */
    {{.team = {"gpt"},
      .has_team = true,
      .team_alias = {"ours", "gpt"},
      .key_alias = {"gpt", "claude"}},
     "ours",
     "claude",
     false,
     0},
    {{.key = {"gpt"},
      .has_team = true,
      .team_alias = {"ours", "gpt"},
      .key_alias = {"gpt", "claude"}},
     "ours",
     "claude",
     false,
     0},
    /* the deployment of a response is what it is, whatever aliases make of its group's name */
    {{.key = {"gpt"}, .key_alias = {"claude", "gpt"}}, "claude", "claude", false, true},
    {{.team = {"gpt"}, .has_team = true, .team_alias = {"claude", "gpt"}},
     "claude",
     "claude",
     false,
     true},
    {{.key = {"gpt"}, .key_alias = {"gpt", "claude"}}, "gpt", "gpt", true, true},
};

static void test_rows(void **state)
{
    static const struct directory_options plain = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *r = &rows[i];
        struct str model = str_of(r->model);
        struct caller c;
        struct plane p;
        plane_open(&p, &plain);
        put_who(&p, &r->who);
        plane_seal(&p, 1);
        c = (struct caller){0};
        caller_resolve(&c, p.view, get_key(&p, KEY));
        assert_true(found(&c.key));
        const struct snap_group *g = group_named(r->group);
        bool got =
            access_may_reach(&snap, &c, model, r->reach ? model : access_dispatched(&c, model), g);
        if (got != r->allowed)
            print_error("row %zu: %s by %s\n", i, r->model, r->group ? r->group : "nobody");
        assert_int_equal(got, r->allowed);
        if (!r->reach)
            assert_int_equal(access_may_use(&snap, &c, model, g), r->allowed);
        plane_close(&p);
    }
}

static void test_team_s_models_without_a_team_are_all(void **state)
{
    static const struct directory_options plain = {0};
    const struct who who = {.key = {"all-team-models"}};
    struct caller c;
    struct plane p;

    (void)state;
    plane_open(&p, &plain);
    put_who(&p, &who);
    plane_seal(&p, 1);
    c = (struct caller){0};
    caller_resolve(&c, p.view, get_key(&p, KEY));
    assert_true(access_may_use(&snap, &c, STR("claude"), group_named("claude")));
    plane_close(&p);
}

/* ---- money ---- */

static void test_money_as_python_prints_it(void **state)
{
    static const struct {
        int64_t nusd;
        const char *text;
    } money[] = {
        {0, "0.0"},
        {1, "1e-09"},
        {99999, "9.9999e-05"},
        {100000, "0.0001"},
        {1500000000, "1.5"},
        {-1500000000, "-1.5"},
        {INT64_MAX, "9223372036.854775807"},
        {INT64_MIN, "-9223372036.854775808"},
    };
    struct arena_pool pool = {0};
    struct arena a;

    (void)state;
    arena_init(&a, &pool, 1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(money); i++)
        assert_str(nusd_text(&a, money[i].nusd), money[i].text);
    arena_reset(&a);
    arena_pool_deinit(&pool);
}

static void test_an_increase_holds_until_its_end(void **state)
{
    static const struct {
        int64_t max, extra, until_us, now_us, budget;
    } row[] = {
        {LIMIT_NONE, 5, 10, 1, LIMIT_NONE},
        {0, 0, 0, 1, 0},
        {3, 5, 10, 9, 8},
        {3, 5, 10, 10, 3},
        {3, -5, 10, 1, 3},
        {INT64_MAX, 1, 10, 1, INT64_MAX},
        {1, INT64_MAX, 10, 1, INT64_MAX},
        {INT64_MIN, 1, 10, 1, LIMIT_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        struct identity_rules r = {.max_budget_nusd = row[i].max,
                                   .extra_budget_nusd = row[i].extra,
                                   .extra_until_us = row[i].until_us};
        assert_true(budget_of(&r, row[i].now_us) == row[i].budget);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_team_s_models_without_a_team_are_all),
        cmocka_unit_test(test_money_as_python_prints_it),
        cmocka_unit_test(test_an_increase_holds_until_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
