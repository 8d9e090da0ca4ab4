/* Request targets against the table of routes. */

#include "common/http/url.h"

#include "api/route.h"
#include "tests/unit/test.h"

static void test_targets(void **state)
{
    static const struct {
        const char *root, *target;
        enum route_method method;
        enum route_found found;
        enum route route;
        const char *placeholder, *query;
    } rows[] = {
        {"", "/v1/chat/completions", METHOD_POST, ROUTE_FOUND, ROUTE_CHAT, "", ""},
        {"", "/chat/completions?a=b&c", METHOD_POST, ROUTE_FOUND, ROUTE_CHAT, "", "a=b&c"},
        {"", "/chat/completions?a?b//..", METHOD_POST, ROUTE_FOUND, ROUTE_CHAT, "", "a?b//.."},
        {"", "/openai/v1/chat/completions", METHOD_POST, ROUTE_NONE, 0, "", ""},
        {"", "/openai/v1/responses", METHOD_POST, ROUTE_FOUND, ROUTE_RESPONSES, "", ""},
        {"", "/v1/chat/completions", METHOD_GET, ROUTE_BAD_METHOD, 0, "", ""},
        {"", "/v1/chat/completions/", METHOD_POST, ROUTE_NONE, 0, "", ""},
        {"", "/V1/chat/completions", METHOD_POST, ROUTE_NONE, 0, "", ""},
        {"", "/v1/v1/models", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"", "/", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"", "", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "*", METHOD_OPTIONS, ROUTE_BAD_PATH, 0, "", ""},
        {"", "http://h/v1/models", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        /* placeholders: models may have slashes, ids may not, neither may be empty */
        {"", "/v1/models/a", METHOD_GET, ROUTE_FOUND, ROUTE_MODEL, "a", ""},
        {"", "/models/a/b%2Fc", METHOD_GET, ROUTE_FOUND, ROUTE_MODEL, "a/b%2Fc", ""},
        {"", "/models", METHOD_GET, ROUTE_FOUND, ROUTE_MODELS, "", ""},
        {"", "/models/", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"", "/engines/a/b/embeddings", METHOD_POST, ROUTE_FOUND, ROUTE_ENGINES_EMBEDDINGS, "a/b",
         ""},
        {"", "/engines/embeddings", METHOD_POST, ROUTE_NONE, 0, "", ""},
        {"", "/openai/deployments/d/chat/completions?api-version=1", METHOD_POST, ROUTE_FOUND,
         ROUTE_DEPLOYMENTS_CHAT, "d", "api-version=1"},
        {"", "/v1/responses/r", METHOD_GET, ROUTE_FOUND, ROUTE_RESPONSE_GET, "r", ""},
        {"", "/responses/r", METHOD_DELETE, ROUTE_FOUND, ROUTE_RESPONSE_DELETE, "r", ""},
        {"", "/responses/r", METHOD_POST, ROUTE_BAD_METHOD, 0, "", ""},
        {"", "/responses/r/s", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"", "/responses/r/cancel", METHOD_POST, ROUTE_FOUND, ROUTE_RESPONSE_CANCEL, "r", ""},
        {"", "/responses/r/cancel", METHOD_GET, ROUTE_BAD_METHOD, 0, "", ""},
        {"", "/responses/a/b/cancel", METHOD_POST, ROUTE_NONE, 0, "", ""},
        {"", "/responses/r/input_items", METHOD_GET, ROUTE_FOUND, ROUTE_RESPONSE_ITEMS, "r", ""},
        {"", "/responses/cancel", METHOD_GET, ROUTE_FOUND, ROUTE_RESPONSE_GET, "cancel", ""},
        /* only bare */
        {"", "/health", METHOD_GET, ROUTE_FOUND, ROUTE_HEALTH, "", ""},
        {"", "/v1/health", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"", "/metrics", METHOD_GET, ROUTE_FOUND, ROUTE_METRICS, "", ""},
        {"", "/metrics", METHOD_OTHER, ROUTE_BAD_METHOD, 0, "", ""},
        {"", "/health/liveliness", METHOD_OPTIONS, ROUTE_FOUND, ROUTE_LIVELINESS_OPTIONS, "", ""},
        /* two readers could read these differently */
        {"", "//v1/models", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/v1//models", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/v1/./models", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/v1/../models", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/models/..", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/models/.", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/models/...", METHOD_GET, ROUTE_FOUND, ROUTE_MODEL, "...", ""},
        {"", "/models/.a", METHOD_GET, ROUTE_FOUND, ROUTE_MODEL, ".a", ""},
        {"", "/models/a\\b", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/models/a#b", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/models/a b", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/models/\xc3\xa4", METHOD_GET, ROUTE_BAD_PATH, 0, "", ""},
        {"", "/v1%2Fmodels", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"", "/v1/%6dodels", METHOD_GET, ROUTE_NONE, 0, "", ""},
        /* below a root, and beside it */
        {"/api", "/api/v1/models", METHOD_GET, ROUTE_FOUND, ROUTE_MODELS, "", ""},
        {"/api", "/v1/models", METHOD_GET, ROUTE_FOUND, ROUTE_MODELS, "", ""},
        {"/api", "/apis/models", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"/api", "/api", METHOD_GET, ROUTE_NONE, 0, "", ""},
        {"/mod", "/models", METHOD_GET, ROUTE_FOUND, ROUTE_MODELS, "", ""},
        {"/models", "/models", METHOD_GET, ROUTE_FOUND, ROUTE_MODELS, "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route_match m = {.placeholder = STR("?")};
        enum route_found found =
            route_find(&m, rows[i].method, str_of(rows[i].target), str_of(rows[i].root));
        if (found != rows[i].found)
            fail_msg("%s: %d, not %d", rows[i].target, found, rows[i].found);
        if (found != ROUTE_FOUND)
            continue;
        assert_string_equal(route_rows[m.route].name, route_rows[rows[i].route].name);
        assert_str(m.placeholder, rows[i].placeholder);
        assert_str(m.query, rows[i].query);
    }
}

static void test_each_row_is_found_where_it_says(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROUTES; i++) {
        struct route_match m;
        char target[128];
        struct str before, after;
        if (i == ROUTE_FORWARDED)
            continue; /* no path leads there */
        bool star = str_cut(route_rows[i].path, '*', &before, &after);
        (void)snprintf(target, sizeof target, STR_FMT "%s" STR_FMT, STR_ARG(before),
                       star ? "x" : "", STR_ARG(after));
        assert_int_equal(route_find(&m, (enum route_method)route_rows[i].method, str_of(target),
                                    (struct str){0}),
                         ROUTE_FOUND);
        assert_int_equal(m.route, i);
    }
}

static void test_what_is_forwarded(void **state)
{
    static const struct {
        const char *method, *target, *path; /* path NULL: nothing */
        enum route_found found;
        enum route_lane lane;
    } rows[] = {
        {"POST", "/key/generate", "/key/generate", ROUTE_FOUND, LANE_CRUD},
        {"GET", "/key/info?key=sk-1/2", "/key/info", ROUTE_FOUND, LANE_CRUD},
        {"GET", "/", "/", ROUTE_FOUND, LANE_LOOP},
        {"GET", "/root/openapi.json", "/openapi.json", ROUTE_FOUND, LANE_LOOP},
        {"GET", "/rooted/openapi.json", NULL, ROUTE_NONE, 0},
        {"POST", "/key/a/regenerate", "/key/a/regenerate", ROUTE_FOUND, LANE_CRUD},
        {"POST", "/key/a/b/regenerate", NULL, ROUTE_NONE, 0},
        {"PATCH", "/credentials/a/b", "/credentials/a/b", ROUTE_FOUND, LANE_CRUD},
        {"GET", "/key/generate", NULL, ROUTE_BAD_METHOD, 0},
        {"HEAD", "/", NULL, ROUTE_BAD_METHOD, 0},
        {"POST", "/key/generate/", NULL, ROUTE_NONE, 0},
        {"POST", "/Key/generate", NULL, ROUTE_NONE, 0},
        {"POST", "/key%2fgenerate", NULL, ROUTE_NONE, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct route_forward f;
        assert_int_equal(
            route_find_forwarded(&f, str_of(rows[i].method), str_of(rows[i].target), STR("/root")),
            rows[i].found);
        if (rows[i].path) {
            assert_str(f.path, rows[i].path);
            assert_int_equal(f.lane, rows[i].lane);
        }
    }
}

static void test_percent_escapes(void **state)
{
    static const struct {
        const char *in, *out; /* NULL: refused */
    } rows[] = {
        {"", ""},       {"a", "a"},    {"a%2fb%2FC", "a/b/C"}, {"%e4%E4", "\xe4\xe4"},
        {"%", NULL},    {"%2", NULL},  {"a%2", NULL},          {"%2g", NULL},
        {"%g2", NULL},  {"%00", NULL}, {"%%", NULL},           {"%25%32", "%2"},
        {"a+b", "a+b"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char out[16];
        size_t n = url_decode(out, str_of(rows[i].in));
        if (rows[i].out)
            assert_str(((struct str){out, n}), rows[i].out);
        else
            assert_int_equal(n, SIZE_MAX);
    }
}

static void test_queries(void **state)
{
    static const struct {
        const char *query, *value;
    } rows[] = {
        {"", ""},          {"key", ""},          {"key=", ""},    {"key=a", "a"},
        {"x&key=a&", "a"}, {"key=a&key=b", "a"}, {"keys=a", ""},  {"key=a=b", "a=b"},
        {"&&key=a", "a"},  {"Key=a", ""},        {"x=key=a", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_str(query_get(str_of(rows[i].query), STR("key")), rows[i].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_each_row_is_found_where_it_says),
        cmocka_unit_test(test_what_is_forwarded),
        cmocka_unit_test(test_percent_escapes),
        cmocka_unit_test(test_queries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
