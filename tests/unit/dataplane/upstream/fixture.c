#include "fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

uint32_t fix_idle_ms, fix_connect_ms, fix_tls_ms;
const char *fix_nameservers;

/* All that the pool needs of snapshot/view.c. */
struct snapshot *snapshot_ref(struct snapshot *s)
{
    s->refs++;
    return s;
}

struct snapshot *snapshot_unref(struct snapshot *s)
{
    if (!s || --s->refs > 0)
        return NULL;
    (void)munmap((void *)(uintptr_t)s->base, s->size);
    free(s);
    return NULL;
}

/* --- the pool ------------------------------------------------------------------------------------
 */

void fix_open(struct fix *f)
{
    struct err e;
    size_t size = SHARED_HEADER + FIX_REGIONS * sizeof(struct region);

    memset(f, 0, sizeof *f);
    fix_idle_ms = 60000;
    fix_connect_ms = fix_tls_ms = 1000;
    fix_nameservers = "127.0.0.1:1"; /* nobody */
    f->shared.size = size;
    f->shared.header = mmap(NULL, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(f->shared.header, MAP_FAILED);
    f->shared.capacity = FIX_REGIONS;
    f->shared.header->n_regions = FIX_REGIONS;
    f->shared.header->region_size = sizeof(struct region);
    f->region = shared_region(&f->shared, 0);
    f->other = shared_region(&f->shared, 1);
    f->region->state = REGION_HELD;
    f->other->state = REGION_HELD;
    assert_int_equal(uv_loop_init(&f->loop), 0);
    assert_int_equal(pool_new(&f->pool, &f->loop, &f->shared, f->region, &e), ERRC_OK);
}

void fix_close(struct fix *f)
{
    f->s = snapshot_unref(f->s);
    pool_close(f->pool);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    for (unsigned i = 0; i < SHARED_ORIGINS; i++)
        assert_int_equal(f->region->origin_connections[i], 0);
    assert_int_equal(f->region->metric[METRIC_UPSTREAM_CONNECTIONS], 0);
    (void)munmap(f->shared.header, f->shared.size);
}

/* A generation is a file; here it is a block that grows at the end. */
struct image {
    char *p;
    size_t n;
};

static struct snap_ref image_add(struct image *m, const void *p, size_t n, uint32_t count)
{
    struct snap_ref r = {(uint32_t)m->n, count};

    if (!p || n == 0)
        return (struct snap_ref){0};
    memcpy(m->p + m->n, p, n);
    m->n = (m->n + n + 7) & ~(size_t)7;
    return r;
}

static struct snap_ref image_str(struct image *m, const char *text)
{
    return image_add(m, text, text ? strlen(text) : 0, text ? (uint32_t)strlen(text) : 0);
}

struct snapshot *fix_adopt(struct fix *f, const struct fix_origin *o, uint32_t n)
{
    struct image m = {calloc(1, 1 << 20), sizeof(struct snap_header)};
    struct snap_header h = {.magic = SNAP_MAGIC, .version = SNAP_VERSION, .header_size = sizeof h};
    struct snap_origin rows[FIX_ORIGINS] = {0};
    struct snapshot *s = calloc(1, sizeof *s);
    struct err e = {0};

    assert_true(n <= FIX_ORIGINS);
    for (uint32_t i = 0; i < n; i++)
        rows[i] = (struct snap_origin){
            .host = image_str(&m, o[i].host),
            .ca = image_str(&m, o[i].ca),
            .proxy_host = image_str(&m, o[i].proxy_host),
            .proxy_auth = image_str(&m, o[i].proxy_auth),
            .port = o[i].port,
            .proxy_port = o[i].proxy_port,
            .flags = o[i].flags,
            .slot = i,
            .max_connections = o[i].max_connections,
        };
    h.origins = image_add(&m, rows, sizeof rows, n);
    h.settings.nameservers = image_str(&m, fix_nameservers);
    h.settings.connect_timeout_ms = fix_connect_ms;
    h.settings.tls_timeout_ms = fix_tls_ms;
    h.settings.upstream_idle_ms = fix_idle_ms;
    h.total_size = m.n;
    memcpy(m.p, &h, sizeof h);
    /* as if mapped: the last reference gives it back */
    void *map = mmap(NULL, m.n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    memcpy(map, m.p, m.n);
    free(m.p);
    *s = (struct snapshot){.base = map, .size = m.n, .h = map, .refs = 1};

    if (pool_adopt(f->pool, s, &e)) {
        (void)snapshot_unref(s);
        fail_msg("not adopted: %s", e.msg);
    }
    f->s = snapshot_unref(f->s);
    f->s = s;
    return s;
}

struct origin *fix_origin(struct fix *f, uint32_t i)
{
    struct origin *o = pool_origin(f->pool, f->s, i);

    assert_non_null(o);
    return o;
}

static void fix_on_wake(uv_timer_t *t)
{
    (void)t;
}

static void fix_wait(struct fix *f, unsigned ms)
{
    uv_timer_t wake;

    (void)uv_timer_init(&f->loop, &wake);
    (void)uv_timer_start(&wake, fix_on_wake, ms, 0);
    (void)uv_run(&f->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&wake, NULL);
    (void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

void fix_turn(struct fix *f)
{
    fix_wait(f, 1);
}

void fix_run_ms(struct fix *f, unsigned ms)
{
    uint64_t end_ns = clock_mono_ns() + ms * UINT64_C(1000000);

    while (clock_mono_ns() < end_ns)
        fix_turn(f);
}

/* --- exchanges -----------------------------------------------------------------------------------
 */

static void seen_on_read(void *ctx, const char *p, size_t n)
{
    struct seen *s = ctx;

    s->bytes = realloc(s->bytes, s->n_bytes + n + 1);
    assert_non_null(s->bytes);
    memcpy(s->bytes + s->n_bytes, p, n);
    s->n_bytes += n;
    s->bytes[s->n_bytes] = '\0';
    if (s->then)
        s->then(s);
}

static void seen_on_end(void *ctx, enum errc why)
{
    struct seen *s = ctx;

    s->n_end++;
    s->why = why;
}

static void seen_on_flushed(void *ctx)
{
    struct seen *s = ctx;

    s->n_flushed++;
}

const struct upconn_events seen_events = {seen_on_read, seen_on_end, seen_on_flushed};

static void seen_on_got(void *ctx, enum pool_got how, struct upconn *c)
{
    struct seen *s = ctx;

    assert_true((how == POOL_CONNECTED) == (c != NULL));
    s->n_got++;
    s->how = how;
    s->c = c;
    s->wait = NULL;
}

void seen_reset(struct seen *s)
{
    free(s->bytes);
    *s = (struct seen){0};
}

void fix_dial(struct fix *f, struct origin *o, struct seen *s, unsigned deadline_ms)
{
    seen_reset(s);
    uv_update_time(&f->loop);
    assert_int_equal(pool_dial(f->pool, o, clock_mono_ns() + deadline_ms * UINT64_C(1000000),
                               &seen_events, seen_on_got, s, &s->wait),
                     ERRC_OK);
    assert_int_equal(s->n_got, 0); /* never inside the call */
}

void fix_connect(struct fix *f, struct origin *o, struct seen *s)
{
    fix_dial(f, o, s, 5000);
    fix_until(f, s->n_got);
    assert_int_equal(s->how, POOL_CONNECTED);
}

/* --- servers -------------------------------------------------------------------------------------
 */

int server_listen(uint16_t *ret_port, int backlog)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

int server_accept(struct fix *f, int listener)
{
    int fd = -1;

    fix_until(f, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
    return fd;
}

void server_expect(struct fix *f, int fd, const char *text)
{
    char got[4096];
    size_t n = 0, want = strlen(text);

    assert_true(want < sizeof got);
    while (n < want) {
        ssize_t m = 0;
        fix_until(f, (m = read(fd, got + n, want - n)) >= 0);
        assert_true(m > 0);
        n += (size_t)m;
    }
    got[n] = '\0';
    assert_string_equal(got, text);
}

void server_send(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}
