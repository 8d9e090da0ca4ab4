/* Gates, teams, and what may be granted. */

#include "auth/rbac.h"
#include "tests/unit/test.h"

static struct arena arena;
static struct store s;

static int setup(void **state)
{
    struct db_wait w = {.wake_fd = -1};

    (void)state;
    arena_init(&arena, NULL, 1024 * 1024);
    return store_init(&s, NULL, NULL, &arena, &w) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&arena);
    return 0;
}

static yyjson_mut_val *json(const char *text)
{
    return store_json(&s, str_of(text));
}

static void test_gates_by_role(void **state)
{
    const struct caller master = {.role = ROLE_ADMIN, .is_master = true},
                        admin = {.role = ROLE_ADMIN}, viewer = {.role = ROLE_VIEWER},
                        user = {.role = ROLE_USER}, reader = {.role = ROLE_USER_VIEWER},
                        nobody = {.role = ROLE_NONE},
                        org = {.role = ROLE_USER,
                               .orgs = json(
                                   "[{\"organization_id\":\"o\",\"user_role\":\"org_admin\"}]")};
    const struct {
        enum policy policy;
        bool master, admin, viewer, user, reader, nobody, org;
    } rows[] = {
        {POLICY_PUBLIC, true, true, true, true, true, true, true},
        {POLICY_ANY, true, true, true, true, true, true, true},
        {POLICY_ADMIN, true, true, false, false, false, false, false},
        {POLICY_ADMIN_READ, true, true, true, false, false, false, false},
        {POLICY_ADMIN_ORG, true, true, false, false, false, false, true},
        {POLICY_KEYS, true, true, false, true, false, false, true},
        {POLICY_SPEND, true, true, true, true, true, false, true},
        {POLICY_MASTER, true, false, false, false, false, false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(rbac_gate(&master, rows[i].policy) == rows[i].master);
        assert_true(rbac_gate(&admin, rows[i].policy) == rows[i].admin);
        assert_true(rbac_gate(&viewer, rows[i].policy) == rows[i].viewer);
        assert_true(rbac_gate(&user, rows[i].policy) == rows[i].user);
        assert_true(rbac_gate(&reader, rows[i].policy) == rows[i].reader);
        assert_true(rbac_gate(&nobody, rows[i].policy) == rows[i].nobody);
        assert_true(rbac_gate(&org, rows[i].policy) == rows[i].org);
    }
}

static void test_teams(void **state)
{
    yyjson_mut_val *team =
        json("{\"team_id\":\"t\",\"organization_id\":\"o\",\"members_with_roles\":["
             "{\"user_id\":\"a\",\"role\":\"admin\"},{\"user_id\":\"b\",\"role\":\"user\"},"
             "{\"user_id\":\"\",\"role\":\"admin\"}],\"team_member_permissions\":[]}");
    struct caller c = {.role = ROLE_USER, .user_id = STR_INIT("a")};

    (void)state;
    assert_true(rbac_is_team_admin(&c, team) && rbac_runs_team(&c, team));
    c.user_id = STR("b");
    assert_false(rbac_is_team_admin(&c, team) || rbac_runs_team(&c, team));
    assert_str(team_role_of(team, STR("b")), "user");
    c.user_id = STR(""); /* a key of nobody is no member */
    assert_false(rbac_runs_team(&c, team));
    c.orgs = json("[{\"organization_id\":\"o\",\"user_role\":\"org_admin\"}]");
    assert_true(rbac_runs_team(&c, team));
    c.orgs = json("[{\"organization_id\":\"p\",\"user_role\":\"org_admin\"}]");
    assert_false(rbac_runs_team(&c, team));
    assert_true(team_permits(team, STR("/key/info")) && !team_permits(team, STR("/key/update")));
    team = json("{\"team_member_permissions\":[\"/key/update\"]}");
    assert_true(team_permits(team, STR("/key/update")) && !team_permits(team, STR("/key/info")));
}

static void test_models_beyond_what_is_held(void **state)
{
    static const struct {
        const char *wanted, *held, *beyond;
    } rows[] = {
        {"[\"a\"]", "[]", ""},
        {"[\"a\"]", "null", ""},
        {"[\"a\"]", "[\"a\",\"b\"]", ""},
        {"[\"a\",\"c\"]", "[\"a\",\"b\"]", "c"},
        {"[\"openai/x\"]", "[\"openai/*\"]", ""},
        {"[\"openai/*\"]", "[\"openai/x\"]", "openai/*"},
        {"[\"x\"]", "[\"all-proxy-models\"]", ""},
        {"[\"all-proxy-models\"]", "[\"x\"]", "all-proxy-models"},
        {"[\"no-default-models\"]", "[\"x\"]", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(models_beyond(json(rows[i].wanted), json(rows[i].held)), rows[i].beyond);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gates_by_role),
        cmocka_unit_test(test_teams),
        cmocka_unit_test(test_models_beyond_what_is_held),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
