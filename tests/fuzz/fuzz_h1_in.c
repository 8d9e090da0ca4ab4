/*
 * Any bytes as a request, whole and in pieces of a size the first byte says: both are read alike,
 * within the limits, and nothing is lent afterwards.
 */

#include "common/http/h1_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_BODY = 4096 };

static enum h1_got feed(struct h1_in *in, struct str left, size_t step, size_t *ret_at)
{
    enum h1_got got = H1_MORE;
    size_t used;

    *ret_at = 0;
    while (got == H1_MORE && left.n) {
        size_t n = MIN(step, left.n);
        char *piece = malloc(n); /* the sanitizer sees a step beyond it */
        ASSERT(piece);
        memcpy(piece, left.p, n);
        got = h1_in_feed(in, piece, n, &used);
        free(piece);
        ASSERT(used <= n);
        *ret_at += used;
        left = str_from(left, used);
    }
    return got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct bufpool pool = {.ceiling = 1024 * 1024};
    struct h1_in whole, pieces;
    size_t at_whole, at_pieces;

    if (n < 1)
        return 0;
    struct str bytes = {(const char *)data + 1, n - 1};
    h1_in_init(&whole, &pool, MAX_BODY);
    h1_in_init(&pieces, &pool, MAX_BODY);
    enum h1_got a = feed(&whole, bytes, MAX(bytes.n, (size_t)1), &at_whole);
    enum h1_got b = feed(&pieces, bytes, (size_t)data[0] % 32 + 1, &at_pieces);
    ASSERT(whole.body.n <= MAX_BODY && pieces.body.n <= MAX_BODY);
    if (a == H1_DONE) { /* where it ends may be refused earlier in pieces, never read otherwise */
        ASSERT(b != H1_MORE);
        ASSERT(b == H1_BAD || (at_whole == at_pieces && whole.body.n == pieces.body.n &&
                               whole.n_headers == pieces.n_headers &&
                               str_eq(h1_in_target(&whole), h1_in_target(&pieces))));
        (void)h1_in_header(&whole, STR("host"), NULL);
    }
    h1_in_reset(&whole);
    h1_in_reset(&pieces);
    ASSERT(pool.lent == 0);
    bufpool_deinit(&pool);
    return 0;
}
