/*
 * The translator as a filter, for the oracle beside it. On stdin cases, each a line of words and
 * then bytes:
 *
 *   CLIENT UPSTREAM MODEL STREAM FLAGS REQUEST_BYTES REPLY_BYTES CUT
 *
 * (APIs by name; STREAM and FLAGS numbers: 1 drop_params, 2 modify_params; the reply is a document
 * where it begins with a brace, else events, in pieces of CUT bytes). On stdout for each a line and
 * then bytes:
 *
 *   OK BODY_BYTES REPLY_OK REPLY_BYTES       OK: -1, or the row of errors.def that refused it
 */

#include "dialect/translate.h"

enum { BYTES_MAX = 64 << 20 };

static struct bufpool pool = {.ceiling = (size_t)1 << 30};
static struct arena_pool blocks = {.max_spare = 64};

struct asked {
    char client[16], upstream[16], model[64];
    unsigned stream, flags;
    size_t request_n, reply_n, cut;
    char *request, *reply;
};

static char *bytes_read(size_t n)
{
    char *p = n <= BYTES_MAX ? malloc(n + 1) : NULL;

    ASSERT(p && fread(p, 1, n, stdin) == n);
    return p;
}

static bool asked_read(struct asked *a)
{
    char line[256];

    if (!fgets(line, sizeof line, stdin))
        return false;
    ASSERT(sscanf(line, "%15s %15s %63s %u %u %zu %zu %zu", a->client, a->upstream, a->model,
                  &a->stream, &a->flags, &a->request_n, &a->reply_n, &a->cut) == 8);
    a->request = bytes_read(a->request_n);
    a->reply = bytes_read(a->reply_n);
    return true;
}

static int request(const struct asked *a, struct translate *t, struct buf *body)
{
    enum api upstream = api_named(str_of(a->upstream));
    struct upstream_model m = {
        .name = str_of(a->model),
        .provider = upstream == API_MESSAGES ? STR("anthropic") : STR("openai"),
        .drop_params = a->flags & 1,
        .modify_params = a->flags & 2,
        .stream = a->stream,
        .stream_usage = a->stream,
    };
    struct jout o = jout_init(&pool, body);

    m.can = capability_of(m.provider, m.name, &m.max_output);
    bool ok =
        translate_read(t, (struct str){a->request, a->request_n}) && translate_write(t, &o, &m);
    jout_deinit(&o);
    return ok ? -1 : (int)t->fault.error;
}

static bool reply(const struct asked *a, struct translate *t, struct buf *out)
{
    static struct reply_scan scan;
    struct translate_reply r = {.scan = &scan,
                                .model = STR("\"public\""),
                                .now_s = 1700000000,
                                .seed = {1, 2},
                                .stream = a->stream};
    bool ok = true;

    reply_scan_init(&scan);
    ASSERT(translate_reply_begin(t, &r));
    translate_forget(t);
    if (a->reply[0] == '{')
        return translate_whole(t, (struct str){a->reply, a->reply_n}, out) && t->done;
    for (size_t at = 0; ok && at < a->reply_n; at += a->cut)
        ok = translate_events(t, a->reply + at, MIN(a->cut, a->reply_n - at), out);
    return ok && translate_events_end(t, out) && t->done;
}

int main(void)
{
    struct asked a;

    while (asked_read(&a)) {
        struct translate t;
        struct arena arena;
        struct buf body = {0}, out = {0};
        arena_init(&arena, &blocks, (size_t)256 << 20);
        translate_init(&t, api_named(str_of(a.client)), api_named(str_of(a.upstream)), &pool,
                       &blocks, &arena);
        int error = request(&a, &t, &body);
        bool ok = error < 0 && a.reply_n && reply(&a, &t, &out);
        (void)printf("%d %zu %d %zu\n", error, body.n, ok, out.n);
        if (body.n)
            (void)fwrite(body.p, 1, body.n, stdout);
        if (out.n)
            (void)fwrite(out.p, 1, out.n, stdout);
        (void)fflush(stdout);
        buf_free(&pool, &body);
        buf_free(&pool, &out);
        translate_deinit(&t);
        arena_reset(&arena);
        free(a.request);
        free(a.reply);
        ASSERT(pool.lent == 0);
    }
    return 0;
}
