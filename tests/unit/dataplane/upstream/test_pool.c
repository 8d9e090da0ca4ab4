/* Lending, giving back, queueing and ending connections, against sockets the test holds. */

#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

#include "fixture.h"
#include "tests/unit/alloc_count.h"

static struct fix f;
static int listener;
static uint16_t port;

static int setup(void **state)
{
    (void)state;
    fix_open(&f);
    listener = server_listen(&port, 64);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(listener);
    fix_close(&f);
    return 0;
}

static struct origin *plain_origin(uint32_t max_connections)
{
    struct fix_origin o = {.host = "127.0.0.1",
                           .port = port,
                           .flags = SNAP_ORIGIN_PRIVATE_OK,
                           .max_connections = max_connections};

    fix_adopt(&f, &o, 1);
    return fix_origin(&f, 0);
}

static bool is_readable_end(int fd)
{
    char b;

    return read(fd, &b, 1) == 0;
}

static void write_text(struct seen *s, const char *text)
{
    struct upconn_buf b = {text, strlen(text)};

    assert_int_equal(upconn_write(s->c, &b, 1), UPCONN_SENT);
}

/* --- lending -------------------------------------------------------------------------------------
 */

static void test_last_given_back_is_first_lent(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0}, b = {0};

    (void)state;
    assert_null(pool_reuse(f.pool, o, &seen_events, &a));
    fix_connect(&f, o, &a);
    fix_connect(&f, o, &b);
    int pa = server_accept(&f, listener), pb = server_accept(&f, listener);
    struct upconn *ca = a.c, *cb = b.c;
    assert_false(upconn_is_reused(ca));
    assert_int_equal(f.region->origin_connections[0], 2);
    pool_put(ca);
    pool_put(cb);
    assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &b), cb);
    assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &a), ca);
    assert_null(pool_reuse(f.pool, o, &seen_events, &a));
    assert_true(upconn_is_reused(ca));
    assert_int_equal(f.region->metric[METRIC_UPSTREAM_DIALS], 2);
    assert_int_equal(f.region->metric[METRIC_UPSTREAM_REUSES], 2);

    a.c = ca;
    write_text(&a, "ping");
    server_expect(&f, pa, "ping");
    server_send(pa, "pong");
    fix_until(&f, a.n_bytes == 4);
    assert_string_equal(a.bytes, "pong");
    upconn_close(ca);
    upconn_close(cb);
    fix_until(&f, is_readable_end(pa) && is_readable_end(pb));
    close(pa);
    close(pb);
    seen_reset(&a);
}

static void test_idle_connection_goes_when_the_peer_says_anything(void **state)
{
    static const char *const says[] = {NULL, "HTTP/1.1 408 Request Timeout\r\n\r\n"};
    struct origin *o = plain_origin(0);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(says); i++) {
        struct seen a = {0};
        fix_connect(&f, o, &a);
        int peer = server_accept(&f, listener);
        pool_put(a.c);
        if (says[i])
            server_send(peer, says[i]);
        else
            close(peer);
        fix_until(&f, f.region->origin_connections[0] == 0);
        assert_null(pool_reuse(f.pool, o, &seen_events, &a));
        assert_int_equal(a.n_end + a.n_bytes, 0);
        if (says[i])
            close(peer);
    }
}

static void test_long_idle_connection_is_looked_at_before_reuse(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    pool_put(a.c);
    a.c->idle_ms -= MIN(a.c->idle_ms, CONN_PEEK_MS); /* as if it had passed */
    close(peer);                                     /* the loop has not seen it yet */
    assert_null(pool_reuse(f.pool, o, &seen_events, &a));
}

static void test_connection_is_worn_by_requests_and_age(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    unsigned n = 1, first = a.c->max_requests;
    for (; pool_put(a.c), pool_reuse(f.pool, o, &seen_events, &a); n++)
        assert_in_range(n, 1, CONN_REQUESTS);
    assert_int_equal(n, first);
    assert_in_range(n, CONN_REQUESTS - CONN_REQUESTS / CONN_SPREAD, CONN_REQUESTS);
    assert_int_equal(f.region->origin_connections[0], 0);
    fix_until(&f, is_readable_end(peer));
    close(peer);

    fix_connect(&f, o, &a);
    peer = server_accept(&f, listener);
    assert_int_not_equal(a.c->max_requests, first); /* made one after the other, worn apart */
    uv_update_time(&f.loop);
    uint64_t now_ms = uv_now(&f.loop);
    assert_in_range(a.c->worn_ms - now_ms, CONN_AGE_MS - CONN_AGE_MS / CONN_SPREAD - 1000,
                    CONN_AGE_MS);
    pool_put(a.c);
    a.c->worn_ms = now_ms;
    assert_null(pool_reuse(f.pool, o, &seen_events, &a));
    fix_until(&f, is_readable_end(peer));
    close(peer);
}

static void test_idle_limit_is_set_and_learnt(void **state)
{
    fix_idle_ms = 300;
    struct origin *o = plain_origin(0);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    pool_put(a.c);
    fix_run_ms(&f, 150);
    assert_int_equal(f.region->origin_connections[0], 1);
    fix_run_ms(&f, 400);
    assert_int_equal(f.region->origin_connections[0], 0);
    assert_true(is_readable_end(peer));
    close(peer);

    f.pool->idle_ms = 60000;
    fix_connect(&f, o, &a);
    peer = server_accept(&f, listener);
    upconn_limit_idle(a.c, 5);
    assert_true(o->learnt_idle_ms >= 3000 && o->learnt_idle_ms <= 4000);
    pool_put(a.c);
    a.c->idle_ms -= o->learnt_idle_ms;
    fix_run_ms(&f, 250);
    assert_int_equal(f.region->origin_connections[0], 0);
    close(peer);

    /* a close by the peer teaches too, unless it came at once */
    o->learnt_until_ms = 0;
    fix_connect(&f, o, &a);
    peer = server_accept(&f, listener);
    pool_put(a.c);
    a.c->idle_ms -= MIN(a.c->idle_ms, 2000);
    close(peer);
    fix_until(&f, f.region->origin_connections[0] == 0);
    assert_true(o->learnt_until_ms > 0 && o->learnt_idle_ms < 2000);
    o->learnt_until_ms = 0;
    fix_connect(&f, o, &a);
    peer = server_accept(&f, listener);
    pool_put(a.c);
    close(peer);
    fix_until(&f, f.region->origin_connections[0] == 0);
    assert_int_equal(o->learnt_until_ms, 0);
}

static void test_steady_state_allocates_nothing(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0};
    struct upconn_buf b[2] = {{"head", 4}, {"body", 4}};
    char got[16];

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    a.bytes = malloc(64);
    struct upconn *c = a.c;
    for (unsigned i = 0; i < 1010; i++) {
        if (i == 10)
            alloc_count_start();
        c->requests = 1; /* stays young */
        pool_put(c);
        assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &a), c);
        assert_int_equal(upconn_write(c, b, 2), UPCONN_SENT);
        while (read(peer, got, sizeof got) != 8)
            ;
        assert_int_equal(write(peer, "ok", 2), 2);
        a.n_bytes = 0;
        size_t before = alloc_count;
        while (a.n_bytes == 0)
            (void)uv_run(&f.loop, UV_RUN_ONCE);
        alloc_count -= MIN(alloc_count - before, 1); /* the realloc of seen_on_read() */
    }
    assert_int_equal(alloc_count, 0);
    upconn_close(c);
    close(peer);
    seen_reset(&a);
}

/* --- ceilings and queues -------------------------------------------------------------------------
 */

static void test_full_origin_queues_first_come_first_served(void **state)
{
    struct origin *o = plain_origin(1);
    struct seen a = {0}, b = {0}, d = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    struct upconn *c = a.c;
    fix_dial(&f, o, &b, 5000);
    fix_dial(&f, o, &d, 5000);
    fix_run_ms(&f, 150);
    assert_int_equal(b.n_got + d.n_got, 0);
    pool_put(c);
    assert_int_equal(b.n_got, 0); /* not inside the call of another exchange */
    fix_until(&f, b.n_got);
    assert_ptr_equal(b.c, c);
    assert_true(upconn_is_reused(c));
    assert_int_equal(d.n_got, 0);
    upconn_close(b.c); /* the place of a closed one goes to the next */
    fix_until(&f, d.n_got);
    assert_int_equal(d.how, POOL_CONNECTED);
    int second = server_accept(&f, listener);
    upconn_close(d.c);
    close(peer);
    close(second);
}

static void test_ceiling_holds_over_all_workers(void **state)
{
    struct origin *o = plain_origin(2);
    struct seen a = {0}, b = {0}, d = {0};

    (void)state;
    f.other->origin_connections[0] = 1;
    fix_connect(&f, o, &a);
    fix_dial(&f, o, &b, 200);
    fix_until(&f, b.n_got);
    assert_int_equal(b.how, POOL_FULL);
    fix_dial(&f, o, &d, 5000);
    fix_run_ms(&f, 150);
    assert_int_equal(d.n_got, 0);
    f.other->origin_connections[0] = 0; /* another worker closed its own */
    fix_until(&f, d.n_got);
    assert_int_equal(d.how, POOL_CONNECTED);
    upconn_close(a.c);
    upconn_close(d.c);

    /* a dead worker's connections are gone whatever its region says */
    f.other->origin_connections[0] = 2;
    f.other->state = REGION_DEAD;
    fix_connect(&f, o, &a);
    upconn_close(a.c);
}

static void test_full_origin_gives_up_an_idle_connection_for_a_fresh_one(void **state)
{
    struct origin *o = plain_origin(1);
    struct seen a = {0}, b = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    pool_put(a.c);
    fix_connect(&f, o, &b);
    assert_false(upconn_is_reused(b.c));
    assert_int_equal(f.region->origin_connections[0], 1);
    fix_until(&f, is_readable_end(peer));
    close(peer);
    upconn_close(b.c);
}

static void test_idle_connections_make_room_for_other_workers(void **state)
{
    struct origin *o = plain_origin(2);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    f.other->origin_connections[0] = 1; /* the ceiling is reached */
    pool_put(a.c);
    a.c->idle_ms -= MIN(a.c->idle_ms, ORIGIN_FULL_IDLE_MS);
    fix_until(&f, f.region->origin_connections[0] == 0);
}

static void test_queue_is_bounded(void **state)
{
    struct origin *o = plain_origin(1);
    struct seen a = {0};
    static struct seen many[ORIGIN_WAITERS];
    struct pool_wait *w;

    (void)state;
    fix_connect(&f, o, &a);
    for (unsigned i = 0; i < ORIGIN_WAITERS; i++)
        fix_dial(&f, o, &many[i], 60000);
    assert_int_equal(pool_dial(f.pool, o, UINT64_MAX, &seen_events, NULL, NULL, &w), ERRC_LIMIT);
    for (unsigned i = 0; i < ORIGIN_WAITERS; i++)
        pool_cancel(many[i].wait);
    upconn_close(a.c);
}

static void test_connection_that_dies_on_its_way_to_a_waiter_is_replaced(void **state)
{
    struct origin *o = plain_origin(1);
    struct seen a = {0}, b = {0};

    (void)state;
    fix_connect(&f, o, &a);
    struct upconn *c = a.c;
    fix_dial(&f, o, &b, 5000);
    pool_put(c);
    assert_int_equal(c->state, CONN_HANDED);
    conn_input(c, "x", 1); /* as the loop would */
    fix_until(&f, b.n_got);
    assert_int_equal(b.how, POOL_CONNECTED);
    assert_ptr_not_equal(b.c, c);
    assert_int_equal(b.n_bytes, 0);
    upconn_close(b.c);
}

/* --- bytes ---------------------------------------------------------------------------------------
 */

static void test_end_of_a_lent_connection_is_told(void **state)
{
    struct linger now = {.l_onoff = 1};
    struct origin *o = plain_origin(0);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    server_send(peer, "last");
    close(peer);
    fix_until(&f, a.n_end);
    assert_string_equal(a.bytes, "last");
    assert_int_equal(a.why, ERRC_CLOSED);
    pool_put(a.c); /* not kept */
    assert_null(pool_reuse(f.pool, o, &seen_events, &a));

    fix_connect(&f, o, &a);
    peer = server_accept(&f, listener);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(peer); /* RST */
    fix_until(&f, a.n_end);
    assert_int_equal(a.why, ERRC_SYS);
    struct upconn_buf b = {"x", 1};
    assert_int_equal(upconn_write(a.c, &b, 1), UPCONN_BROKEN);
    upconn_close(a.c);
    fix_run_ms(&f, 20);
    assert_int_equal(a.n_end, 1);
    seen_reset(&a);
}

static void pause_then(struct seen *s)
{
    upconn_pause(s->c);
}

static void test_paused_connection_reads_nothing(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    a.then = pause_then;
    server_send(peer, "one");
    fix_until(&f, a.n_bytes == 3);
    server_send(peer, "two");
    fix_run_ms(&f, 30);
    assert_int_equal(a.n_bytes, 3);
    upconn_resume(a.c);
    fix_until(&f, a.n_bytes == 6);
    fix_run_ms(&f, 5);

    /* given back while paused: the close of an idle one is still seen */
    pool_put(a.c);
    close(peer);
    fix_until(&f, f.region->origin_connections[0] == 0);
    seen_reset(&a);
}

static void close_then(struct seen *s)
{
    upconn_close(s->c);
}

static void put_then(struct seen *s)
{
    pool_put(s->c);
}

static void test_connection_may_end_inside_on_read(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    a.then = put_then;
    server_send(peer, "whole");
    fix_until(&f, a.n_bytes);
    assert_non_null(pool_reuse(f.pool, o, &seen_events, &a));
    a.then = close_then;
    server_send(peer, "part");
    fix_until(&f, is_readable_end(peer));
    close(peer);
    seen_reset(&a);
}

enum { BIG = 8 << 20 };

static void test_large_body_leaves_in_pieces(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0};
    char *body = malloc(BIG), *got = malloc(BIG);
    size_t n = 0;

    (void)state;
    for (size_t i = 0; i < BIG; i++)
        body[i] = (char)(i * 2654435761u >> 24);
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    struct upconn_buf b[4] = {
        {body, 1}, {body + 1, 0}, {body + 1, BIG / 2}, {body + 1 + BIG / 2, BIG / 2 - 1}};
    assert_int_equal(upconn_write(a.c, b, 4), UPCONN_QUEUED);
    while (n < BIG) {
        ssize_t m = read(peer, got + n, BIG - n);
        n += m > 0 ? (size_t)m : 0;
        (void)uv_run(&f.loop, UV_RUN_NOWAIT);
    }
    assert_memory_equal(body, got, BIG);
    fix_until(&f, a.n_flushed);
    pool_put(a.c);

    /* closed while queued: nothing more is told */
    struct upconn *c = pool_reuse(f.pool, o, &seen_events, &a);
    assert_int_equal(upconn_write(c, b, 4), UPCONN_QUEUED);
    upconn_close(c);
    fix_run_ms(&f, 20);
    assert_int_equal(a.n_flushed, 1);
    assert_int_equal(a.n_end, 0);
    free(body);
    free(got);
    close(peer);
}

static void test_stalled_write_times_out(void **state)
{
    struct origin *o = plain_origin(0);
    struct seen a = {0};
    char *body = calloc(1, BIG);

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    struct upconn_buf b = {body, BIG};
    assert_int_equal(upconn_write(a.c, &b, 1), UPCONN_QUEUED);
    fix_run_ms(&f, 250);
    assert_int_equal(a.n_end, 0);
    a.c->progress_ms -= CONN_STALL_MS;
    fix_until(&f, a.n_end);
    assert_int_equal(a.why, ERRC_TIMEOUT);
    upconn_close(a.c);
    close(peer);
    free(body);
}

/* --- generations ---------------------------------------------------------------------------------
 */

static void test_reload_keeps_equal_origins_and_old_generations_in_use(void **state)
{
    struct fix_origin rows[3] = {
        {.host = "127.0.0.1", .port = port, .flags = SNAP_ORIGIN_PRIVATE_OK},
        {.host = "localhost", .port = port, .flags = SNAP_ORIGIN_PRIVATE_OK},
        {.host = "127.0.0.1", .port = port, .flags = SNAP_ORIGIN_PRIVATE_OK, .max_connections = 7},
    };
    struct seen a = {0};

    (void)state;
    struct snapshot *first = snapshot_ref(fix_adopt(&f, rows, 2));
    struct origin *o = fix_origin(&f, 0), *gone = fix_origin(&f, 1);
    assert_ptr_not_equal(o, gone);
    fix_connect(&f, o, &a);
    struct upconn *c = a.c;
    pool_put(c);

    fix_adopt(&f, &rows[2], 1);
    assert_ptr_equal(fix_origin(&f, 0), o);
    assert_int_equal(o->max_connections, 7);
    assert_ptr_equal(pool_origin(f.pool, first, 1), gone);
    assert_null(pool_origin(f.pool, first, 2));
    assert_ptr_equal(pool_reuse(f.pool, o, &seen_events, &a), c);
    pool_put(c);

    first = snapshot_unref(first);
    fix_run_ms(&f, 250); /* nobody uses it: it goes, and with it what only it named */
    assert_int_equal(f.pool->generations.next == f.pool->generations.prev, 1);
    assert_int_equal(f.pool->origins.next == f.pool->origins.prev, 1);

    /* the connections of an origin that is named no more close */
    fix_adopt(&f, &rows[1], 1);
    fix_until(&f, f.region->metric[METRIC_UPSTREAM_CONNECTIONS] == 0);
}

static void test_lent_connection_outlives_its_generation(void **state)
{
    struct fix_origin other = {.host = "localhost", .port = port, .flags = SNAP_ORIGIN_PRIVATE_OK};
    struct origin *o = plain_origin(0);
    struct seen a = {0};

    (void)state;
    fix_connect(&f, o, &a);
    int peer = server_accept(&f, listener);
    fix_adopt(&f, &other, 1);
    fix_run_ms(&f, 250);
    server_send(peer, "late");
    fix_until(&f, a.n_bytes == 4);
    pool_put(a.c);
    fix_until(&f, is_readable_end(peer));
    close(peer);
    seen_reset(&a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_last_given_back_is_first_lent),
        TEST(test_idle_connection_goes_when_the_peer_says_anything),
        TEST(test_long_idle_connection_is_looked_at_before_reuse),
        TEST(test_connection_is_worn_by_requests_and_age),
        TEST(test_idle_limit_is_set_and_learnt),
        TEST(test_steady_state_allocates_nothing),
        TEST(test_full_origin_queues_first_come_first_served),
        TEST(test_ceiling_holds_over_all_workers),
        TEST(test_full_origin_gives_up_an_idle_connection_for_a_fresh_one),
        TEST(test_idle_connections_make_room_for_other_workers),
        TEST(test_queue_is_bounded),
        TEST(test_connection_that_dies_on_its_way_to_a_waiter_is_replaced),
        TEST(test_end_of_a_lent_connection_is_told),
        TEST(test_paused_connection_reads_nothing),
        TEST(test_connection_may_end_inside_on_read),
        TEST(test_large_body_leaves_in_pieces),
        TEST(test_stalled_write_times_out),
        TEST(test_reload_keeps_equal_origins_and_old_generations_in_use),
        TEST(test_lent_connection_outlives_its_generation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
