/* Any bytes as requests of a data plane, one that has a session among them: each is answered once,
 * and every answer is a reply. */

#include "publish/hub.h"

enum { REQUESTS = 32 };

struct wire_end {
    int open; /* requests not yet answered */
    unsigned char session[HUB_SESSION];
    struct hub *hub;
    struct hub_job job;
    struct hub_delivery usage;
    bool has_job, has_usage;
};

static void on_send(void *ctx, void *to, struct str bytes)
{
    struct wire_end *w = ctx;

    ASSERT(*(int *)to == 1); /* once */
    *(int *)to = 2;
    w->open--;
    if (!bytes.n)
        return;
    Weir__Reply *r = weir__reply__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    ASSERT(r && r->is_case != WEIR__REPLY__IS__NOT_SET);
    if (r->is_case == WEIR__REPLY__IS_WELCOME)
        memcpy(w->session, r->welcome->session.data, HUB_SESSION);
    weir__reply__free_unpacked(r, NULL);
}

static bool on_job(void *ctx, const struct hub_job *job)
{
    struct wire_end *w = ctx;

    if (w->has_job)
        return false;
    w->job = *job;
    w->has_job = true;
    ASSERT(job->place.kind < ENTITY_KINDS);
    return true;
}

static bool on_usage(void *ctx, const struct hub_delivery *u)
{
    struct wire_end *w = ctx;

    if (w->has_usage)
        return false;
    ASSERT(u->request->is_case == WEIR__REQUEST__IS_USAGE ||
           u->request->is_case == WEIR__REQUEST__IS_USAGE_BATCHES ||
           u->request->is_case == WEIR__REQUEST__IS_TRANSCRIPTS);
    w->usage = *u;
    w->has_usage = true;
    return true;
}

static void usage_done(struct wire_end *w)
{
    bool is_usage = w->usage.request->is_case != WEIR__REQUEST__IS_TRANSCRIPTS;

    weir__request__free_unpacked(w->usage.request, NULL);
    w->has_usage = false;
    hub_done(w->hub, is_usage ? HUB_USAGE : HUB_TRANSCRIPTS, w->usage.to, w->usage.session,
             (struct str){0});
}

static void on_ahead(void *ctx, struct revision r)
{
    (void)ctx;
    (void)r;
}

static void on_progress(void *ctx)
{
    (void)ctx;
}

static void publish(struct hub *h, uint64_t n)
{
    struct packed p = {0};
    struct arena a;

    arena_init(&a, NULL, 65536);
    packed_entity(&p, entity_gone(ENTITY_TAG, STR("some tag"), STR(""), &a));
    hub_published(h, (struct revision){1, n}, &p);
    arena_reset(&a);
}

/* Sums that lead to `n`; now and then none are known. */
static void tell(struct hub *h, uint64_t n)
{
    struct packed p = {0};
    Weir__Total total;

    weir__total__init(&total);
    total.kind = 8;
    total.id = (ProtobufCBinaryData){8, (uint8_t *)(uintptr_t) "some tag"};
    for (unsigned i = 0; i < n % 3; i++)
        packed_total(&p, &total);
    hub_totals(h, n % 5 ? n : 0, n % 5 ? &p : NULL, NULL, 0);
    packed_deinit(&p);
}

/* The same request with the session that is there. */
static void ask_as_known(struct wire_end *w, int *to, struct hub_peer peer, struct str bytes,
                         uint64_t now)
{
    Weir__Request *r = weir__request__unpack(NULL, bytes.n, (const uint8_t *)bytes.p);
    static uint8_t out[2 * REQUEST_MAX];
    ProtobufCBinaryData own;

    if (!r) {
        hub_request(w->hub, to, peer, bytes, now);
        return;
    }
    own = r->session;
    r->session = (ProtobufCBinaryData){HUB_SESSION, w->session};
    size_t n = weir__request__get_packed_size(r);
    if (n <= sizeof out) {
        (void)weir__request__pack(r, out);
        hub_request(w->hub, to, peer, (struct str){(char *)out, n}, now);
    } else {
        hub_request(w->hub, to, peer, (struct str){0}, now);
    }
    r->session = own;
    weir__request__free_unpacked(r, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct wire_end w = {0};
    struct hub_options o = {.ctx = &w,
                            .version = "1",
                            .send = on_send,
                            .job = on_job,
                            .usage = on_usage,
                            .transcripts = on_usage,
                            .ahead = on_ahead,
                            .progress = on_progress};
    static const uint8_t hello[] = {0x0a, 24, 8, 1, 16, 1,  0x22, 16, 1,  2,  3,  4,    5,
                                    6,    7,  8, 9, 10, 11, 12,   13, 14, 15, 16, 0x4a, 0};
    struct hub_peer peer = {1, true};
    struct str in = {(const char *)data, n};
    int tos[REQUESTS + 1];
    struct err e;

    ASSERT(hub_new(&w.hub, &o, &e) == ERRC_OK);
    publish(w.hub, 1);
    tos[0] = 1;
    w.open = 1;
    hub_request(w.hub, &tos[0], peer, (struct str){(const char *)hello, sizeof hello - 2}, 1);
    for (int i = 1; i <= REQUESTS && in.n >= 2; i++) {
        size_t len = (unsigned char)in.p[0] | (size_t)(unsigned char)in.p[1] << 8;
        struct str one = {in.p + 2, MIN(len, in.n - 2)};
        uint64_t now = (uint64_t)i * 1000000000;
        in = str_from(in, 2 + one.n);
        tos[i] = 1;
        w.open++;
        if (len & 0x8000)
            hub_request(w.hub, &tos[i], peer, one, now);
        else
            ask_as_known(&w, &tos[i], peer, one, now);
        if (w.has_job) {
            w.has_job = false;
            hub_done(w.hub, HUB_PAGE, w.job.to, w.job.session, (struct str){0});
        }
        if (w.has_usage && i % 2 == 0)
            usage_done(&w);
        if (i % 4 == 0)
            publish(w.hub, (uint64_t)i);
        if (i % 3 == 0)
            tell(w.hub, (uint64_t)i);
        hub_tick(w.hub, now);
    }
    if (w.has_usage)
        usage_done(&w);
    hub_free(w.hub);
    ASSERT(w.open == 0);
    return 0;
}
