/* Prompts of every shape, by what is added to them. */

#include "common/bufpool.h"
#include "common/gateway/tokens.h"

#include "dialect/count.h"
#include "tests/unit/test.h"

static struct bufpool pool = {.ceiling = 16 << 20};

static uint64_t of(const char *body)
{
    struct json_tape t;

    json_tape_init(&t, &pool);
    assert_int_equal(json_tape_read(&t, body, strlen(body)), JSON_TAPE_DONE);
    uint64_t n = count_prompt(&t);
    json_tape_deinit(&t);
    return n;
}

/* "hello" in one message: begin, frame, word. */
enum { HELLO = 3 + 4 + 2 };

static void test_the_same_prompt_in_every_shape(void **state)
{
    static const char *const bodies[] = {
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}]}",
        "{\"input\":\"hello\"}",
        "{\"input\":[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\","
        "\"text\":\"hello\"}]}]}",
        "{\"prompt\":\"hello\"}",
        "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hello\"}]}]}",
        "{\"messages\":[{\"content\":\"hello\",\"cache_control\":{\"type\":\"ephemeral\"}}],"
        "\"model\":\"a long name that is no part of it\",\"max_tokens\":100,\"tools\":[]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        if (of(bodies[i]) != HELLO)
            fail_msg("row %zu: %llu", i, (unsigned long long)of(bodies[i]));
}

static void test_nothing_to_count(void **state)
{
    (void)state;
    assert_int_equal(of("{}"), 0);
    assert_int_equal(of("{\"model\":\"m\",\"tools\":[{\"name\":\"x\"}],\"messages\":null}"), 0);
    assert_true(of("{\"messages\":[]}") > 0);
}

static void test_parts_add_up(void **state)
{
    static const struct {
        const char *body;
        uint64_t least, most;
    } rows[] = {
        {"{\"system\":\"Be brief.\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
         HELLO + 4 + 2, HELLO + 4 + 4},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}],\"tools\":[{\"name\":"
         "\"get_weather\",\"description\":\"Weather of a city\",\"input_schema\":{\"type\":"
         "\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}]}",
         HELLO + 9 + 25, HELLO + 9 + 60},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":"
         "\"toolu_1\",\"name\":\"f\",\"input\":{\"city\":\"Bern\"}}]},{\"role\":\"user\","
         "\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"toolu_1\",\"content\":\"rain\"}]"
         "}]}",
         15, 25},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
         "{\"url\":\"data:image/png;base64,AAAA\"}}]}]}",
         1007, 1007},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
         "{\"url\":\"https://h/x.png\",\"detail\":\"low\"}}]}]}",
         92, 92},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":"
         "\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAA\"}}]}]}",
         1007, 1007},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":"
         "{\"type\":\"base64\",\"media_type\":\"application/pdf\",\"data\":\"AAAA\"}}]}]}",
         2007, 2007},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":"
         "{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"hello\"}}]}]}",
         HELLO, HELLO + 4},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":"
         "{\"data\":\"AAAA\",\"format\":\"wav\"}}]}]}",
         8, 8},
        {"{\"prompt\":[\"hello\",\"hello\"]}", HELLO + 5, HELLO + 6},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t n = of(rows[i].body);
        if (n < rows[i].least || n > rows[i].most)
            fail_msg("row %zu: %llu", i, (unsigned long long)n);
    }
}

static void test_the_deepest_body(void **state)
{
    char body[4 * JSON_TAPE_DEPTH + 64];
    size_t n = 0;

    (void)state;
    n += (size_t)snprintf(body, sizeof body, "{\"messages\":");
    for (int i = 0; i < JSON_TAPE_DEPTH - 2; i++)
        body[n++] = '[';
    n += (size_t)snprintf(body + n, sizeof body - n, "\"hello\"");
    for (int i = 0; i < JSON_TAPE_DEPTH - 2; i++)
        body[n++] = ']';
    body[n++] = '}';
    body[n] = '\0';
    assert_int_equal(of(body), HELLO);
}

static int pool_end(void **state)
{
    (void)state;
    assert_int_equal(pool.lent, 0);
    bufpool_deinit(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_prompt_in_every_shape),
        cmocka_unit_test(test_nothing_to_count),
        cmocka_unit_test(test_parts_add_up),
        cmocka_unit_test(test_the_deepest_body),
    };

    return cmocka_run_group_tests(tests, NULL, pool_end);
}
