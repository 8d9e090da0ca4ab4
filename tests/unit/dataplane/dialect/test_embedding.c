/* Numbers become base64, whatever the bytes are cut into (F.41). */

#include "dialect/embedding.h"
#include "tests/unit/test.h"

static void test_replies(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"{\"data\":[{\"embedding\":[1,-2.5,0.5]}]}",
         "{\"data\":[{\"embedding\":\"AACAPwAAIMAAAAA/\"}]}"},
        {"{\"embedding\" : [ 1e0 ] }", "{\"embedding\" : \"AACAPw==\" }"},
        {"{\"embedding\":[0.1,0.2]}", "{\"embedding\":\"zczMPc3MTD4=\"}"},
        {"{\"embedding\":[]}", "{\"embedding\":\"\"}"},
        {"{\"embedding\":\"AACAPw==\"}", "{\"embedding\":\"AACAPw==\"}"},
        {"{\"embedding\":[[1],[2]]}", "{\"embedding\":[[1],[2]]}"},
        {"{\"embedding\":null,\"x\":[1]}", "{\"embedding\":null,\"x\":[1]}"},
        {"[\"embedding\",[1]]", "[\"embedding\",[1]]"},
        {"{\"a\":\"\\\"embedding\\\":[1]\"}", "{\"a\":\"\\\"embedding\\\":[1]\"}"},
        {"{\"embed\":1,\"\"embedding\":[1]}", "{\"embed\":1,\"\"embedding\":\"AACAPw==\"}"},
    };
    struct bufpool pool = {.ceiling = 1 << 20};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].in);
        for (size_t cut = 0; cut <= n; cut++) {
            struct embedding_encoder e = {0};
            struct buf out = {0};
            assert_true(embedding_encode(&e, &pool, rows[i].in, cut, &out));
            assert_true(embedding_encode(&e, &pool, rows[i].in + cut, n - cut, &out));
            assert_str(((struct str){out.p, out.n}), rows[i].out);
            buf_free(&pool, &out);
        }
    }
    bufpool_deinit(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_replies)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
