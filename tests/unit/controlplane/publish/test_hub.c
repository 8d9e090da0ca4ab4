/* Sessions: who is answered with what, and when; a clock and a wire of the test's own. */

#include "publish/hub.h"
#include "tests/unit/test.h"

enum { ANSWERS = 64 };

#define MS UINT64_C(1000000)

struct answer {
    int to;
    Weir__Reply *reply; /* NULL: dropped */
};

struct fixture {
    struct hub *hub;
    uint64_t now;
    struct answer answers[ANSWERS];
    size_t n_answers;
    struct hub_job job;        /* the last one */
    struct hub_delivery usage; /* the last one; its request is the test's */
    unsigned n_jobs, n_progress, n_usage;
    bool refuses_jobs;
    struct revision ahead;
    int tos[4096]; /* what `to` points to: its index is the request's number */
    unsigned n_tos;
};

static void on_send(void *ctx, void *to, struct str bytes)
{
    struct fixture *f = ctx;

    assert_true(f->n_answers < ANSWERS);
    f->answers[f->n_answers++] = (struct answer){
        (int)((int *)to - f->tos),
        bytes.n ? weir__reply__unpack(NULL, bytes.n, (const uint8_t *)bytes.p) : NULL};
    if (bytes.n)
        assert_non_null(f->answers[f->n_answers - 1].reply);
}

static bool on_job(void *ctx, const struct hub_job *job)
{
    struct fixture *f = ctx;

    if (f->refuses_jobs)
        return false;
    f->job = *job;
    f->n_jobs++;
    return true;
}

static bool on_usage(void *ctx, const struct hub_delivery *u)
{
    struct fixture *f = ctx;

    if (f->refuses_jobs)
        return false;
    f->usage = *u;
    f->n_usage++;
    return true;
}

static void on_ahead(void *ctx, struct revision r)
{
    ((struct fixture *)ctx)->ahead = r;
}

static void on_progress(void *ctx)
{
    ((struct fixture *)ctx)->n_progress++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct hub_options o = {.ctx = f,
                            .version = "1",
                            .config_hash = STR("hash"),
                            .send = on_send,
                            .job = on_job,
                            .usage = on_usage,
                            .transcripts = on_usage,
                            .ahead = on_ahead,
                            .progress = on_progress};
    struct err e;

    f->now = 1000 * MS;
    assert_int_equal(hub_new(&f->hub, &o, &e), ERRC_OK);
    *state = f;
    return 0;
}

static void forget_answers(struct fixture *f)
{
    for (size_t i = 0; i < f->n_answers; i++)
        if (f->answers[i].reply)
            weir__reply__free_unpacked(f->answers[i].reply, NULL);
    f->n_answers = 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    forget_answers(f);
    hub_free(f->hub);
    forget_answers(f);
    free(f);
    return 0;
}

/* The request's number, as its answer will name it. */
static int ask(struct fixture *f, struct hub_peer peer, const Weir__Request *r)
{
    uint8_t out[4096];
    size_t n = weir__request__pack(r, out);
    int *to = &f->tos[f->n_tos++ % ARRAY_LEN(f->tos)];

    hub_request(f->hub, to, peer, (struct str){(char *)out, n}, f->now);
    return (int)(to - f->tos);
}

struct plane {
    struct hub_peer peer;
    unsigned char session[HUB_SESSION];
};

static const struct answer *last(const struct fixture *f)
{
    assert_true(f->n_answers > 0);
    return &f->answers[f->n_answers - 1];
}

static Weir__Reply *hello(struct fixture *f, struct plane *p, const char *token)
{
    static uint8_t pod[16];
    Weir__Request r;
    Weir__Hello h;

    weir__request__init(&r);
    weir__hello__init(&h);
    pod[0] = (uint8_t)p->peer.pipe;
    h.protocol = h.oldest = 1;
    h.pod = (ProtobufCBinaryData){sizeof pod, pod};
    h.token = (char *)(uintptr_t)token;
    r.is_case = WEIR__REQUEST__IS_HELLO;
    r.hello = &h;
    (void)ask(f, p->peer, &r);
    Weir__Reply *reply = last(f)->reply;
    if (reply->is_case == WEIR__REPLY__IS_WELCOME)
        memcpy(p->session, reply->welcome->session.data, HUB_SESSION);
    return reply;
}

static int changes(struct fixture *f, const struct plane *p, uint64_t epoch, uint64_t n,
                   struct str cursor)
{
    Weir__Request r;
    Weir__ChangesSince c;
    Weir__Revision have;

    weir__request__init(&r);
    weir__changes_since__init(&c);
    weir__revision__init(&have);
    have.epoch = epoch;
    have.n = n;
    c.have = &have;
    c.wait = true;
    c.cursor = (ProtobufCBinaryData){cursor.n, (uint8_t *)(uintptr_t)cursor.p};
    r.is_case = WEIR__REQUEST__IS_CHANGES;
    r.changes = &c;
    r.session = (ProtobufCBinaryData){HUB_SESSION, (uint8_t *)(uintptr_t)p->session};
    return ask(f, p->peer, &r);
}

static void publish(struct fixture *f, uint64_t n, const char *tag)
{
    struct packed p = {0};
    struct arena a;

    arena_init(&a, NULL, 65536);
    if (tag)
        packed_entity(&p, entity_gone(ENTITY_TAG, str_of(tag), STR(""), &a));
    hub_published(f->hub, (struct revision){5, n}, &p);
    arena_reset(&a);
}

static struct plane joined(struct fixture *f, uint32_t pipe)
{
    struct plane p = {.peer = {pipe, true}};

    assert_int_equal(hello(f, &p, "")->is_case, WEIR__REPLY__IS_WELCOME);
    return p;
}

static void assert_refused(const struct answer *a, Weir__Refusal__Why why)
{
    assert_non_null(a->reply);
    assert_int_equal(a->reply->is_case, WEIR__REPLY__IS_REFUSAL);
    assert_int_equal(a->reply->refusal->why, why);
}

static void assert_changes(const struct answer *a, int to, uint64_t n, size_t n_entities)
{
    assert_int_equal(a->to, to);
    assert_non_null(a->reply);
    assert_int_equal(a->reply->is_case, WEIR__REPLY__IS_CHANGES);
    assert_int_equal(a->reply->changes->now->n, n);
    assert_int_equal(a->reply->changes->n_entities, n_entities);
}

/* This version and the one before, whichever side is the newer: what both speak, the newest of it.
 */
static void test_versions_meet(void **state)
{
    static const struct {
        uint32_t own, own_oldest, theirs, theirs_oldest;
        uint32_t agreed; /* 0: none */
    } rows[] = {
        {1, 1, 1, 1, 1}, {2, 1, 1, 1, 1}, {1, 1, 2, 1, 1}, {2, 1, 2, 1, 2}, {3, 2, 2, 1, 2},
        {2, 1, 3, 2, 2}, {3, 2, 1, 1, 0}, {1, 1, 3, 2, 0}, {2, 1, 0, 0, 0}, {2, 1, 1, 2, 0},
    };
    static uint8_t pod[16];
    struct fixture *f = *state;
    Weir__Request r;
    Weir__Hello h;
    struct err e;

    weir__request__init(&r);
    r.is_case = WEIR__REQUEST__IS_HELLO;
    r.hello = &h;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct hub_options o = {.ctx = f,
                                .protocol = rows[i].own,
                                .oldest = rows[i].own_oldest,
                                .version = "1",
                                .send = on_send};
        hub_free(f->hub);
        assert_int_equal(hub_new(&f->hub, &o, &e), ERRC_OK);
        weir__hello__init(&h);
        h.protocol = rows[i].theirs;
        h.oldest = rows[i].theirs_oldest;
        h.pod = (ProtobufCBinaryData){sizeof pod, pod};
        (void)ask(f, (struct hub_peer){1, true}, &r);
        if (!rows[i].agreed) {
            assert_refused(last(f), WEIR__REFUSAL__WHY__NO_PROTOCOL);
            continue;
        }
        assert_int_equal(last(f)->reply->is_case, WEIR__REPLY__IS_WELCOME);
        assert_int_equal(last(f)->reply->welcome->protocol, rows[i].agreed);
    }
}

static void test_parked_until_something_changes(void **state)
{
    struct fixture *f = *state;

    publish(f, 3, NULL);
    struct plane p = joined(f, 1);
    size_t before = f->n_answers;
    int to = changes(f, &p, 5, 3, STR(""));
    assert_int_equal(f->n_answers, before);
    publish(f, 4, "a");
    assert_changes(last(f), to, 4, 1);
    to = changes(f, &p, 5, 4, STR(""));
    f->now += (HUB_HEARTBEAT_MS - 1) * MS;
    hub_tick(f->hub, f->now);
    assert_int_equal(f->n_answers, before + 1);
    f->now += 2 * MS;
    hub_tick(f->hub, f->now);
    assert_changes(last(f), to, 4, 0);
}

static void test_who_asks_twice_gets_two_answers(void **state)
{
    struct fixture *f = *state;

    publish(f, 3, NULL);
    struct plane p = joined(f, 1);
    int first = changes(f, &p, 5, 3, STR(""));
    int second = changes(f, &p, 5, 3, STR(""));
    assert_changes(last(f), first, 3, 0);
    publish(f, 4, "a");
    assert_changes(last(f), second, 4, 1);
}

static void test_nothing_is_known_yet(void **state)
{
    struct fixture *f = *state;
    struct plane p = joined(f, 1);

    (void)changes(f, &p, 0, 0, STR(""));
    assert_refused(last(f), WEIR__REFUSAL__WHY__AWAY);
}

static void test_who_is_new_or_of_another_epoch_gets_everything(void **state)
{
    struct fixture *f = *state;

    publish(f, 3, NULL);
    struct plane p = joined(f, 1);
    (void)changes(f, &p, 0, 0, STR(""));
    assert_true(f->n_jobs == 1 && !f->job.is_delta && f->job.revision.n == 3);
    hub_done(f->hub, HUB_PAGE, f->job.to, p.session, STR(""));
    (void)changes(f, &p, 4, 3, STR(""));
    assert_true(f->n_jobs == 2 && !f->job.is_delta);
    hub_done(f->hub, HUB_PAGE, f->job.to, p.session, STR(""));
    (void)changes(f, &p, 5, 1, STR("")); /* older than what is known here */
    assert_true(f->n_jobs == 3 && f->job.is_delta && f->job.have.n == 1);
    f->refuses_jobs = true;
    (void)changes(f, &p, 5, 1, STR(""));
    assert_refused(last(f), WEIR__REFUSAL__WHY__AWAY);
}

static int usage(struct fixture *f, const struct plane *p, size_t records)
{
    static uint8_t bytes[USAGE_REQUEST_MAX], out[USAGE_REQUEST_MAX + 4096];
    static uint8_t spool[16] = {1, 2, 3};
    Weir__Request r;
    Weir__UsageBatch b;

    weir__request__init(&r);
    weir__usage_batch__init(&b);
    b.spool = (ProtobufCBinaryData){sizeof spool, spool};
    b.segment = 3;
    b.from = 4;
    b.records = (ProtobufCBinaryData){records, bytes};
    r.is_case = WEIR__REQUEST__IS_USAGE;
    r.usage = &b;
    r.session = (ProtobufCBinaryData){HUB_SESSION, (uint8_t *)(uintptr_t)p->session};
    size_t n = weir__request__pack(&r, out);
    int *to = &f->tos[f->n_tos++ % ARRAY_LEN(f->tos)];

    hub_request(f->hub, to, p->peer, (struct str){(char *)out, n}, f->now);
    return (int)(to - f->tos);
}

static void usage_done(struct fixture *f, struct str bytes)
{
    hub_done(f->hub, HUB_USAGE, f->usage.to, f->usage.session, bytes);
    weir__request__free_unpacked(f->usage.request, NULL);
}

static void test_usage_is_worked_on_one_batch_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct plane p = joined(f, 1), q = joined(f, 2);

    int to = usage(f, &p, USAGE_MAX);
    assert_int_equal(f->n_usage, 1);
    assert_true(f->usage.request->usage->segment == 3 && f->usage.request->usage->from == 4);
    assert_int_equal(f->usage.request->usage->records.len, USAGE_MAX);
    struct hub_delivery first = f->usage;
    (void)usage(f, &p, 10);
    assert_refused(last(f), WEIR__REFUSAL__WHY__AWAY);
    (void)usage(f, &q, 10); /* somebody else's */
    assert_int_equal(f->n_usage, 2);
    usage_done(f, STR(""));
    f->usage = first;
    usage_done(f, STR(""));
    assert_int_equal(last(f)->to, to);
    (void)usage(f, &p, 0);
    assert_int_equal(f->n_usage, 3);
    usage_done(f, STR(""));
    f->refuses_jobs = true;
    (void)usage(f, &p, 0);
    assert_refused(last(f), WEIR__REFUSAL__WHY__AWAY);
}

static void test_usage_of_who_is_cut_is_not_answered(void **state)
{
    struct fixture *f = *state;
    struct plane p = joined(f, 1);
    struct wire w = {0};

    int to = usage(f, &p, 100);
    (void)joined(f, 1); /* a connection has one session */
    usage_done(f, wire_refusal(&w, WEIR__REFUSAL__WHY__AWAY, ""));
    assert_true(last(f)->to == to && !last(f)->reply);
    (void)usage(f, &p, 100);
    assert_refused(last(f), WEIR__REFUSAL__WHY__EXPIRED);
    wire_deinit(&w);
}

static void test_transcripts_and_usage_do_not_wait_for_each_other(void **state)
{
    struct fixture *f = *state;
    struct plane p = joined(f, 1);
    Weir__Transcripts m;
    Weir__Request r;
    uint8_t out[256];

    (void)usage(f, &p, 100);
    struct hub_delivery first = f->usage;
    weir__transcripts__init(&m);
    weir__request__init(&r);
    r.is_case = WEIR__REQUEST__IS_TRANSCRIPTS;
    r.transcripts = &m;
    r.session = (ProtobufCBinaryData){HUB_SESSION, p.session};
    struct str bytes = {(char *)out, weir__request__pack(&r, out)};
    hub_request(f->hub, &f->tos[f->n_tos++], p.peer, bytes, f->now);
    assert_int_equal(f->n_usage, 2);
    struct hub_delivery second = f->usage;
    hub_request(f->hub, &f->tos[f->n_tos++], p.peer, bytes, f->now); /* one at a time */
    assert_refused(last(f), WEIR__REFUSAL__WHY__AWAY);
    hub_done(f->hub, HUB_TRANSCRIPTS, second.to, second.session, STR(""));
    weir__request__free_unpacked(second.request, NULL);
    hub_request(f->hub, &f->tos[f->n_tos++], p.peer, bytes, f->now);
    assert_int_equal(f->n_usage, 3);
    hub_done(f->hub, HUB_TRANSCRIPTS, f->usage.to, f->usage.session, STR(""));
    weir__request__free_unpacked(f->usage.request, NULL);
    f->usage = first;
    usage_done(f, STR(""));
}

static void test_only_usage_may_be_large(void **state)
{
    static uint8_t out[2 * REQUEST_MAX], cursor[REQUEST_MAX];
    struct fixture *f = *state;
    struct plane p = joined(f, 1);
    Weir__Request r;
    Weir__ChangesSince c;

    (void)usage(f, &p, USAGE_REQUEST_MAX);
    assert_refused(last(f), WEIR__REFUSAL__WHY__MALFORMED);
    weir__request__init(&r);
    weir__changes_since__init(&c);
    c.cursor = (ProtobufCBinaryData){sizeof cursor, cursor};
    r.is_case = WEIR__REQUEST__IS_CHANGES;
    r.changes = &c;
    r.session = (ProtobufCBinaryData){HUB_SESSION, p.session};
    size_t n = weir__request__pack(&r, out);
    hub_request(f->hub, &f->tos[f->n_tos++], p.peer, (struct str){(char *)out, n}, f->now);
    assert_refused(last(f), WEIR__REFUSAL__WHY__MALFORMED);
    assert_int_equal(f->n_usage, 0);
}

static void test_who_is_ahead_is_reported_and_waits(void **state)
{
    struct fixture *f = *state;

    publish(f, 3, NULL);
    struct plane p = joined(f, 1);
    size_t before = f->n_answers;
    int to = changes(f, &p, 5, 9, STR(""));
    assert_true(f->ahead.epoch == 5 && f->ahead.n == 9 && f->n_answers == before);
    hub_published(f->hub, (struct revision){6, 1}, NULL);
    assert_changes(last(f), to, 9, 0); /* asks again, and gets everything */
}

static void on_node(void *ctx, const struct hub_node *n)
{
    *(uint64_t *)ctx = n->lag;
}

static uint64_t lag(struct fixture *f)
{
    uint64_t n = UINT64_MAX;

    hub_each(f->hub, f->now, on_node, &n);
    return n;
}

/* A number between two revisions was one of a database that is lost: whoever has it gets what
 * changed since from nobody. */
static void test_numbers_between_revisions_are_nobodys(void **state)
{
    struct fixture *f = *state;

    publish(f, 3, NULL);
    struct plane p = joined(f, 1);
    (void)changes(f, &p, 5, 3, STR(""));
    publish(f, 1000, "a");
    publish(f, 1001, "b");
    assert_int_equal(lag(f), 2);
    int to = changes(f, &p, 5, 3, STR(""));
    assert_changes(last(f), to, 1001, 2);
    to = changes(f, &p, 5, 1000, STR(""));
    assert_changes(last(f), to, 1001, 1);
    assert_int_equal(lag(f), 1);
    assert_int_equal(f->n_jobs, 0);
    (void)changes(f, &p, 5, 500, STR(""));
    assert_true(f->n_jobs == 1 && f->job.is_delta &&
                f->job.have.n == 500); /* the database knows none */
    (void)changes(f, &p, 5, 999, STR(""));
    assert_true(f->n_jobs == 2 && f->job.have.n == 999);
}

static void test_who_has_a_session(void **state)
{
    struct fixture *f = *state;
    struct plane p = joined(f, 1);

    assert_true(hub_has_session(f->hub, 1) && !hub_has_session(f->hub, 2));
    hub_pipe_gone(f->hub, p.peer.pipe);
    assert_false(hub_has_session(f->hub, 1));
}

static void test_who_does_not_take_it_is_lagging(void **state)
{
    struct fixture *f = *state;
    struct revision r = {5, 4};

    publish(f, 3, NULL);
    struct plane p = joined(f, 1), q = joined(f, 2);
    struct hub_applied a = hub_applied(f->hub, (struct revision){5, 3}, f->now);
    assert_true(a.all == 2 && a.have == 0 && a.waited_for == 0); /* new: nobody waits for them */
    (void)changes(f, &p, 5, 3, STR(""));
    (void)changes(f, &q, 5, 3, STR(""));
    publish(f, 4, "a");
    a = hub_applied(f->hub, r, f->now);
    assert_true(a.all == 2 && a.have == 0 && a.waited_for == 2);
    hub_await(f->hub, true);
    (void)changes(f, &p, 5, 4, STR(""));
    assert_true(f->n_progress > 0);
    a = hub_applied(f->hub, r, f->now);
    assert_true(a.all == 2 && a.have == 1 && a.waited_for == 1);
    hub_late(f->hub, r, f->now);
    a = hub_applied(f->hub, r, f->now);
    assert_true(a.all == 2 && a.have == 1 && a.waited_for == 0);
    (void)changes(f, &q, 5, 4, STR("")); /* it caught up */
    publish(f, 5, "b");
    a = hub_applied(f->hub, (struct revision){5, 5}, f->now);
    assert_true(a.waited_for == 2);
    hub_pipe_gone(f->hub, 2);
    a = hub_applied(f->hub, (struct revision){5, 5}, f->now);
    assert_true(a.all == 1 && a.waited_for == 1);
    f->now += (HUB_GONE_MS + 1) * MS;
    a = hub_applied(f->hub, (struct revision){5, 5}, f->now);
    assert_true(a.all == 0);
}

static void test_gone_connection_answers_nothing(void **state)
{
    struct fixture *f = *state;

    publish(f, 3, NULL);
    struct plane p = joined(f, 1);
    int to = changes(f, &p, 5, 3, STR(""));
    hub_pipe_gone(f->hub, 1);
    assert_true(last(f)->to == to && !last(f)->reply);
    p.peer.pipe = 7; /* the session lives on over another connection */
    to = changes(f, &p, 5, 3, STR(""));
    publish(f, 4, "a");
    assert_changes(last(f), to, 4, 1);
}

static void test_tokens(void **state)
{
    struct fixture *f = *state;
    struct plane p = {.peer = {1, false}};
    struct hub_token *t = calloc(1, sizeof *t);

    assert_int_equal(hello(f, &p, "secret")->refusal->why, WEIR__REFUSAL__WHY__AWAY);
    /* printf secret | sha256sum */
    *t = (struct hub_token){
        .id = "t", .hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"};
    hub_tokens(f->hub, t, 1);
    assert_int_equal(hello(f, &p, "wrong")->refusal->why, WEIR__REFUSAL__WHY__FORBIDDEN);
    assert_int_equal(hello(f, &p, "")->refusal->why, WEIR__REFUSAL__WHY__FORBIDDEN);
    assert_int_equal(hello(f, &p, "secret")->is_case, WEIR__REPLY__IS_WELCOME);
    publish(f, 3, NULL);
    struct plane other_way = p;
    other_way.peer.is_local = true;
    (void)changes(f, &other_way, 5, 3, STR(""));
    assert_refused(last(f), WEIR__REFUSAL__WHY__EXPIRED);
    int to = changes(f, &p, 5, 3, STR(""));
    hub_tokens(f->hub, NULL, 0); /* revoked */
    assert_int_equal(last(f)->to, to);
    assert_refused(last(f), WEIR__REFUSAL__WHY__FORBIDDEN);
    (void)changes(f, &p, 5, 3, STR(""));
    assert_refused(last(f), WEIR__REFUSAL__WHY__EXPIRED);
}

static void test_sessions_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct plane p;

    for (uint32_t i = 0; i < HUB_SESSIONS; i++) {
        p = joined(f, i + 1);
        forget_answers(f);
    }
    p.peer = (struct hub_peer){HUB_SESSIONS + 1, true};
    assert_int_equal(hello(f, &p, "")->refusal->why, WEIR__REFUSAL__WHY__AWAY);
    f->now += (HUB_GONE_MS + 1) * MS; /* those who are gone make room */
    assert_int_equal(hello(f, &p, "")->is_case, WEIR__REPLY__IS_WELCOME);
    f->now += HUB_FORGET_MS * MS;
    hub_tick(f->hub, f->now);
    assert_int_equal(hub_applied(f->hub, (struct revision){0}, f->now).all, 0);
}

static void test_cursors(void **state)
{
    char out[CURSOR_MAX];
    struct cursor c;
    struct entities_place at = {ENTITY_MEMBER, STR("user"), STR("team")};

    (void)state;
    struct str full = cursor_of_place(out, (struct revision){5, 6}, &at);
    assert_int_equal(cursor_read(&c, full), CURSOR_FULL);
    assert_true(c.revision.epoch == 5 && c.revision.n == 6 && c.place.kind == ENTITY_MEMBER);
    assert_str(c.place.key1, "user");
    assert_str(c.place.key2, "team");
    for (size_t n = 1; n < full.n - 8; n++)
        assert_true(cursor_read(&c, (struct str){full.p, n}) != CURSOR_FEED);
    struct str feed = cursor_of_feed(out, (struct feed_place){9, 10});
    assert_int_equal(cursor_read(&c, feed), CURSOR_FEED);
    assert_true(c.feed.to == 9 && c.feed.offset == 10);
    assert_int_equal(cursor_read(&c, STR("")), CURSOR_NONE);
    at.key1.n = CURSOR_MAX;
    assert_int_equal(cursor_of_place(out, (struct revision){5, 6}, &at).n, 0);
}

/* ---- totals ---- */

static const unsigned char spool[16] = "a spool's name..";

/* A question of who has totals up to `totals`; its changes are those of revision 3. */
static int ask_totals(struct fixture *f, const struct plane *p, uint64_t totals)
{
    Weir__Request r;
    Weir__ChangesSince c;
    Weir__Revision have;

    weir__request__init(&r);
    weir__changes_since__init(&c);
    weir__revision__init(&have);
    have.epoch = 5;
    have.n = 3;
    c.have = &have;
    c.wait = true;
    c.totals = totals;
    c.spool = (ProtobufCBinaryData){sizeof spool, (uint8_t *)(uintptr_t)spool};
    r.is_case = WEIR__REQUEST__IS_CHANGES;
    r.changes = &c;
    r.session = (ProtobufCBinaryData){HUB_SESSION, (uint8_t *)(uintptr_t)p->session};
    return ask(f, p->peer, &r);
}

/* `n` totals up to moment `at`, and where the spool stands. */
static void tell(struct fixture *f, uint64_t at, size_t n, uint64_t offset)
{
    struct hub_spool *spools = calloc(2, sizeof *spools);
    struct packed p = {0};
    Weir__Total total;

    assert_non_null(spools);
    memset(spools[0].id, 'z', sizeof spools[0].id);
    memcpy(spools[1].id, spool, sizeof spool);
    spools[1].place = (struct hub_place){1, offset};
    weir__total__init(&total);
    total.kind = 2;
    total.id = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t) "team"};
    for (size_t i = 0; i < n; i++) {
        total.spend_nusd = (int64_t)i;
        packed_total(&p, &total);
    }
    hub_totals(f->hub, at, &p, spools, 2);
    packed_deinit(&p);
}

static const Weir__Changes *assert_totals(const struct answer *a, int to, size_t n, uint64_t upto)
{
    assert_changes(a, to, 3, 0);
    const Weir__Changes *c = a->reply->changes;
    assert_int_equal(c->n_totals, n);
    assert_int_equal(c->totals_to, upto);
    return c;
}

enum { T = 1000000000 }; /* microseconds: a quarter of an hour */

static void test_totals_come_with_their_place(void **state)
{
    struct fixture *f = *state;

    publish(f, 3, NULL);
    hub_totals(f->hub, T, NULL, NULL, 0); /* before that nothing is known */
    struct plane p = joined(f, 1);
    assert_false(hub_wants_totals(f->hub));
    size_t before = f->n_answers;
    int to = ask_totals(f, &p, 0); /* it took everything */
    assert_int_equal(f->n_answers, before);
    assert_true(hub_wants_totals(f->hub));
    tell(f, T + 10, 2, 77);
    const Weir__Changes *c = assert_totals(last(f), to, 2, T + 10);
    assert_true(c->has_place && c->segment == 1 && c->offset == 77);
    to = ask_totals(f, &p, T + 10);
    tell(f, T + 20, 0, 99); /* nothing is new */
    assert_int_equal(f->n_answers, before + 1);
    tell(f, T + 30, 1, 100);
    c = assert_totals(last(f), to, 1, T + 30);
    assert_true(c->has_place && c->offset == 100);
    /* a change of a row is told first */
    to = ask_totals(f, &p, T + 30);
    publish(f, 4, "a");
    assert_changes(last(f), to, 4, 1);
}

static void test_many_totals_come_in_pages_the_place_with_the_last(void **state)
{
    struct fixture *f = *state;
    size_t n = 0, pages = 0, all = 2 * ENTITIES_PAGE / 10;
    const Weir__Changes *c;

    publish(f, 3, NULL);
    hub_totals(f->hub, T, NULL, NULL, 0);
    tell(f, T + 10, all, 5);
    struct plane p = joined(f, 1);
    uint64_t have = 0;
    do {
        int to = ask_totals(f, &p, have);
        assert_changes(last(f), to, 3, 0);
        c = last(f)->reply->changes;
        n += c->n_totals;
        have = c->totals_to;
        assert_int_equal(c->has_place, have == T + 10);
        pages++;
    } while (!c->has_place && pages < 20);
    assert_int_equal(n, all);
    assert_true(pages > 1);
}

/* Of another session, and of another control plane: what may be missing comes again, or all. */
static void test_who_was_away_gets_what_it_missed_or_everything(void **state)
{
    struct fixture *f = *state;
    enum { SECOND = 1000000 };

    publish(f, 3, NULL);
    hub_totals(f->hub, T, NULL, NULL, 0);
    for (unsigned i = 1; i <= 30; i++)
        tell(f, T + (uint64_t)i * SECOND, 1, i);
    struct plane p = joined(f, 1);
    size_t before = f->n_answers;
    int to = ask_totals(f, &p, T + 25 * SECOND); /* ten seconds more than it lacks */
    assert_totals(last(f), to, 15, T + 30 * SECOND);
    /* it knows of later ones: it waits for those behind them */
    struct plane ahead = joined(f, 2);
    before = f->n_answers;
    to = ask_totals(f, &ahead, T + 40 * SECOND);
    tell(f, T + 35 * SECOND, 1, 31);
    assert_int_equal(f->n_answers, before);
    tell(f, T + 45 * SECOND, 1, 32);
    assert_totals(last(f), to, 2, T + 45 * SECOND);
    struct plane late = joined(f, 3);
    before = f->n_jobs;
    (void)ask_totals(f, &late, T + 5 * SECOND);
    assert_int_equal(f->n_jobs, before + 1);
    assert_false(f->job.is_delta);
    hub_done(f->hub, HUB_PAGE, f->job.to, f->job.session, (struct str){0});
    /* nothing is known any more: it waits, and is judged anew */
    struct plane waits = joined(f, 4);
    hub_totals(f->hub, 0, NULL, NULL, 0);
    before = f->n_answers;
    to = ask_totals(f, &waits, T + 45 * SECOND);
    assert_int_equal(f->n_answers, before);
    hub_totals(f->hub, T + 200 * SECOND, NULL, NULL, 0);
    assert_totals(last(f), to, 0, 0);
    before = f->n_jobs;
    (void)ask_totals(f, &waits, T + 45 * SECOND);
    assert_int_equal(f->n_jobs, before + 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_versions_meet),
        TEST(test_parked_until_something_changes),
        TEST(test_who_asks_twice_gets_two_answers),
        TEST(test_nothing_is_known_yet),
        TEST(test_who_is_new_or_of_another_epoch_gets_everything),
        TEST(test_usage_is_worked_on_one_batch_at_a_time),
        TEST(test_usage_of_who_is_cut_is_not_answered),
        TEST(test_transcripts_and_usage_do_not_wait_for_each_other),
        TEST(test_only_usage_may_be_large),
        TEST(test_who_is_ahead_is_reported_and_waits),
        TEST(test_numbers_between_revisions_are_nobodys),
        TEST(test_who_has_a_session),
        TEST(test_who_does_not_take_it_is_lagging),
        TEST(test_gone_connection_answers_nothing),
        TEST(test_tokens),
        TEST(test_sessions_are_bounded),
        TEST(test_cursors),
        TEST(test_totals_come_with_their_place),
        TEST(test_many_totals_come_in_pages_the_place_with_the_last),
        TEST(test_who_was_away_gets_what_it_missed_or_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
