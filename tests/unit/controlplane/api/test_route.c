/* Rows of proto/routes.def by request line, and what must hold of all of them. */

#include "api/route.h"
#include "tests/unit/test.h"

static void test_requests_find_their_row(void **state)
{
    static const struct {
        const char *method, *target;
        int found, route; /* route -1: none */
        const char *param;
    } rows[] = {
        {"POST", "/key/generate", ROUTE_FOUND, ADMIN_KEY_GENERATE, ""},
        {"GET", "/key/info?key=a", ROUTE_FOUND, ADMIN_KEY_INFO, ""},
        {"POST", "/key/sk-1/regenerate", ROUTE_FOUND, ADMIN_KEY_ITEM_REGENERATE, "sk-1"},
        {"POST", "/root/key/generate", ROUTE_FOUND, ADMIN_KEY_GENERATE, ""},
        {"POST", "/roots/key/generate", ROUTE_NONE, -1, ""},
        {"POST", "/key//regenerate", ROUTE_BAD_PATH, -1, ""},
        {"POST", "/key/a/b/regenerate", ROUTE_NONE, -1, ""},
        {"PUT", "/key/generate", ROUTE_BAD_METHOD, -1, ""},
        {"GET", "/nowhere", ROUTE_NONE, -1, ""},
        {"GET", "key/info", ROUTE_BAD_PATH, -1, ""},
        {"GET", "/key/./info", ROUTE_BAD_PATH, -1, ""},
        {"GET", "/guardrails/list", ROUTE_FOUND, ADMIN_GUARDRAILS_LIST, ""}, /* before {id} */
        {"GET", "/guardrails/x", ROUTE_FOUND, ADMIN_GUARDRAILS_ITEM_GET, "x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route_match m;
        enum route_found f =
            route_find(&m, str_of(rows[i].method), str_of(rows[i].target), STR("/root"));
        if ((int)f != rows[i].found)
            print_error("%s %s\n", rows[i].method, rows[i].target);
        assert_int_equal(f, rows[i].found);
        if (f != ROUTE_FOUND)
            continue;
        assert_int_equal(m.route, rows[i].route);
        assert_str(m.param[0], rows[i].param);
    }
}

/* Every row is found by its own path, and no two are the same. */
static void test_every_row_can_be_reached(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ADMIN_ROUTES; i++) {
        struct str method = str_of(route_method_name((enum route_method)route_rows[i].method));
        struct route_match m;
        assert_int_equal(route_find(&m, method, route_rows[i].path, (struct str){0}), ROUTE_FOUND);
        if (m.route != i)
            print_error("%s hides %s\n", route_rows[m.route].name, route_rows[i].name);
        assert_int_equal(m.route, i);
    }
}

static void test_rows_make_sense(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ADMIN_ROUTES; i++) {
        const struct route_row *r = &route_rows[i];
        bool writes = r->audit == AUDIT_AUDITED;
        bool is_public = policy_who((enum policy)r->policy) & WHO_PUBLIC;
        assert_true(!writes || (r->method != METHOD_GET && !is_public && r->lane != LANE_LOOP));
        assert_true(r->lane != LANE_LOOP || is_public);
        assert_true(r->method != METHOD_GET ||
                    field_list_where((enum field_list)r->input) == FIELD_QUERY ||
                    r->input == FIELDS_ANYTHING);
    }
}

static void test_lists_walk_through_what_they_include(void **state)
{
    struct field_walk w = {0};
    const struct field *f;
    unsigned n = 0;

    (void)state;
    while ((f = field_next(&w, FIELDS_KEY_REGENERATE)))
        n++;
    assert_true(n > 40);
    assert_non_null(field_find(FIELDS_KEY_REGENERATE, STR("key_alias"))); /* two lists deep */
    assert_non_null(field_find(FIELDS_KEY_REGENERATE, STR("grace_period")));
    assert_null(field_find(FIELDS_KEY_UPDATE, STR("grace_period")));
    assert_true(field_list_is_required(FIELDS_KEY_NAME));
    assert_false(field_list_is_required(FIELDS_KEY_GENERATE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_find_their_row),
        cmocka_unit_test(test_every_row_can_be_reached),
        cmocka_unit_test(test_rows_make_sense),
        cmocka_unit_test(test_lists_walk_through_what_they_include),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
