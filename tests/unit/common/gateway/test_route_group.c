/* What entries of allowed_routes let through. */

#include "common/gateway/route_group.h"

#include "tests/unit/test.h"

static void test_entries(void **state)
{
    static const struct {
        const char *entry, *path;
        bool allows;
    } rows[] = {
        {"/key/info", "/key/info", true},
        {"/key/info", "/key/infos", false},
        {"/key", "/key/info", true}, /* whole segments below it */
        {"/key", "/keys", false},
        {"/key/", "/key/info", true},
        {"/key/*", "/key/info", true},
        {"/key/*", "/keys/info", false},
        {"*", "/anything", true},
        {"/", "/anything", false},
        {"", "/anything", false},
        {"management_routes", "/team/new", true},
        {"management_routes", "/key/generate", true}, /* of an included group */
        {"management_routes", "/key/abc/regenerate", true},
        {"management_routes", "/key/a/b/regenerate", false},
        {"management_routes", "/chat/completions", false},
        {"info_routes", "/key/info", true},
        {"info_routes", "/key/generate", false},
        {"llm_api_routes", "/v1/chat/completions", true},
        {"llm_api_routes", "/v1/responses/resp_1/cancel", true},
        {"llm_api_routes", "/key/generate", false},
        {"org_admin_allowed_routes", "/key/info", true}, /* three groups deep */
        {"no_such_group", "/key/info", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (route_allows(str_of(rows[i].entry), str_of(rows[i].path)) != rows[i].allows)
            print_error("%s %s\n", rows[i].entry, rows[i].path);
        assert_true(route_allows(str_of(rows[i].entry), str_of(rows[i].path)) == rows[i].allows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_entries)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
