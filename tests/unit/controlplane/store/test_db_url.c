/* DATABASE_URL as people have it. */

#include "store/db_url.h"
#include "tests/unit/test.h"

static void test_urls(void **state)
{
    static const struct {
        const char *url, *conninfo, *schema; /* conninfo NULL: refused */
        uint32_t limit;
        bool pgbouncer;
    } rows[] = {
        {"postgresql://u:p@h/d", "postgresql://u:p@h/d", "public", 0, false},
        {"postgres://u:p@h:5432/d?schema=lite&connection_limit=20&pool_timeout=60",
         "postgres://u:p@h:5432/d", "lite", 20, false},
        {"postgresql://u@h/d?sslmode=require&pgbouncer=true&host=%2Frun",
         "postgresql://u@h/d?sslmode=require&host=%2Frun", "public", 0, true},
        {"postgresql://u@h/d?sslcert=/ca.pem&sslaccept=strict",
         "postgresql://u@h/d?sslrootcert=/ca.pem", "public", 0, false},
        {"host=/run dbname=d", "host=/run dbname=d", "public", 0, false},
        {"postgresql://h/d?schema=a;drop", NULL, NULL, 0, false},
        {"postgresql://h/d?connection_limit=x", NULL, NULL, 0, false},
        {"mysql://h/d", NULL, NULL, 0, false},
        {"", NULL, NULL, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct db_url u;
        struct err e = {0};
        arena_init(&a, NULL, 65536);
        enum errc rc = db_url_read(&u, str_of(rows[i].url), &a, &e);
        assert_true((rc == ERRC_OK) == (rows[i].conninfo != NULL));
        if (!rc) {
            assert_str(u.conninfo, rows[i].conninfo);
            assert_str(u.schema, rows[i].schema);
            assert_int_equal(u.connection_limit, rows[i].limit);
            assert_int_equal(u.pgbouncer, rows[i].pgbouncer);
        } else {
            assert_true(!rows[i].url[0] || !strstr(e.msg, rows[i].url)); /* it holds a password */
        }
        arena_reset(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_urls)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
