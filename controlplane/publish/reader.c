#include "publish/reader.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#include "publish/changes.h"
#include "publish/roster.h"

enum {
    POLL_MS = 1000,
    PRUNE_S = 60,
    DEADLINE_MS = 10000, /* of one round */
    ARENA_MAX = 256 * 1024 * 1024,
};

struct reader {
    struct reader_options o;
    pthread_t thread;
    int wake_fd;
    atomic_bool ending;
    _Atomic uint64_t kicked, seen;

    pthread_mutex_t lock;  /* of `known` */
    struct revision known; /* the highest anybody claims */

    /* of the thread */
    struct arena listen_arena;
    struct tx listen;
    bool listens, has_tokens;
    int backend; /* of the last round: what it tells is no news here */
    uint64_t pruned_ns;
};

uint64_t reader_kick(struct reader *r)
{
    uint64_t n = atomic_fetch_add(&r->kicked, 1) + 1, one = 1;

    (void)!write(r->wake_fd, &one, sizeof one); /* full: it is awake */
    return n;
}

uint64_t reader_seen(const struct reader *r)
{
    return atomic_load(&r->seen);
}

void reader_ahead(struct reader *r, struct revision known)
{
    (void)pthread_mutex_lock(&r->lock);
    if (known.epoch > r->known.epoch || (known.epoch == r->known.epoch && known.n > r->known.n))
        r->known = known;
    (void)pthread_mutex_unlock(&r->lock);
    (void)reader_kick(r);
}

/* The highest revision that is known of: our own, or what a data plane claims of our epoch. */
static struct revision known(struct reader *r)
{
    struct revision own = hub_revision(r->o.hub);

    (void)pthread_mutex_lock(&r->lock);
    if (r->known.epoch == own.epoch && r->known.n > own.n)
        own.n = r->known.n;
    (void)pthread_mutex_unlock(&r->lock);
    return own;
}

/* ---- one round ---- */

static void read_tokens(struct reader *r, struct tx *tx)
{
    size_t n;
    struct hub_token *tokens = changes_tokens(tx, &n);

    if (!tx_ok(tx)) {
        free(tokens);
        return;
    }
    r->has_tokens = true;
    hub_tokens(r->o.hub, tokens, n);
}

static void publish(struct reader *r, struct tx *tx, struct revision from, struct revision to)
{
    struct packed entities = {0};
    struct changes c = {0};

    if (from.epoch == to.epoch)
        c = changes_between(tx, from, to);
    else if (from.epoch)
        log_warn("epoch", "was=%llu now=%llu consequence=\"data planes take everything anew\"",
                 (unsigned long long)from.epoch, (unsigned long long)to.epoch);
    if (c.is_complete)
        c.is_complete = entities_touched(r->o.entities, tx, c.rows, c.n, &entities);
    if (tx_ok(tx) && (c.has_tokens || !c.is_complete))
        read_tokens(r, tx);
    if (tx_ok(tx))
        hub_published(r->o.hub, to, c.is_complete ? &entities : NULL);
    packed_deinit(&entities);
}

static void look(struct reader *r)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + DEADLINE_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct revision own = hub_revision(r->o.hub), now;
    uint64_t kicked = atomic_load(&r->kicked);
    struct arena arena;
    struct store s;
    struct tx *tx = &s.tx;

    arena_init(&arena, NULL, ARENA_MAX);
    if (!store_init(&s, r->o.db, r->o.catalog, &arena, &w))
        return;
    now = changes_advance(tx, known(r));
    r->backend = tx_backend(tx);
    if (tx_ok(tx) && !r->has_tokens)
        read_tokens(r, tx);
    if (tx_ok(tx) && (now.epoch != own.epoch || now.n != own.n))
        publish(r, tx, own, now);
    if (tx_ok(tx)) {
        atomic_store(&r->seen, kicked);
        r->o.seen(r->o.ctx);
        roster_write(r->o.roster, &s, r->o.hub, clock_mono_ns());
    }
    if (tx_ok(tx) && clock_mono_ns() >= r->pruned_ns + PRUNE_S * UINT64_C(1000000000)) {
        changes_prune(tx);
        r->pruned_ns = clock_mono_ns();
    }
    if (tx->fault == DB_BUG || tx->fault == DB_DATA || !arena_ok(&arena))
        log_error("publish", "fault=%s what=\"%s\" consequence=\"tried again\"",
                  db_fault_name(tx->fault), tx->err.msg);
    store_end(&s);
    arena_reset(&arena);
}

/* ---- waiting ---- */

static void stop_listening(struct reader *r)
{
    tx_end(&r->listen);
    arena_reset(&r->listen_arena);
    r->listens = false;
}

static void start_listening(struct reader *r)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + DB_WAIT_MS * UINT64_C(1000000),
                        .wake_fd = -1};

    tx_init(&r->listen, r->o.db, &r->listen_arena, &w);
    (void)TX_QUERY0(&r->listen, "LISTEN weir_change");
    r->listens = tx_ok(&r->listen);
    if (!r->listens)
        stop_listening(r);
}

static void wait_for_news(struct reader *r)
{
    struct pollfd fds[2] = {{.fd = r->wake_fd, .events = POLLIN}};
    nfds_t n = 1;
    uint64_t count;
    bool is_news;

    if (!r->listens)
        start_listening(r);
    if (r->listens)
        fds[n++] = (struct pollfd){.fd = tx_socket(&r->listen), .events = POLLIN};
    do {
        if (poll(fds, n, POLL_MS) <= 0)
            return;
        is_news = false;
        if (n > 1 && fds[1].revents && !tx_notified(&r->listen, r->backend, &is_news)) {
            stop_listening(r);
            return;
        }
        if (fds[0].revents)
            (void)!read(r->wake_fd, &count, sizeof count);
    } while (!is_news && !fds[0].revents);
}

static void leave(struct reader *r)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + DB_WAIT_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct arena arena;
    struct tx tx;

    arena_init(&arena, NULL, 64 * 1024);
    tx_init(&tx, r->o.db, &arena, &w);
    roster_leave(r->o.roster, &tx); /* or it is forgotten soon */
    tx_end(&tx);
    arena_reset(&arena);
}

static void *thread_main(void *arg)
{
    struct reader *r = arg;

    (void)prctl(PR_SET_NAME, "weir-publish", 0, 0, 0);
    while (!atomic_load(&r->ending)) {
        look(r);
        if (!atomic_load(&r->ending))
            wait_for_news(r);
    }
    if (r->listens)
        stop_listening(r);
    leave(r);
    return NULL;
}

enum errc reader_new(struct reader **ret_r, const struct reader_options *o, struct err *e)
{
    struct reader *r = calloc(1, sizeof *r);

    if (!r)
        return err_set(e, ERRC_NOMEM, 0, "publishing");
    r->o = *o;
    r->pruned_ns = clock_mono_ns();
    arena_init(&r->listen_arena, NULL, 64 * 1024);
    (void)pthread_mutex_init(&r->lock, NULL);
    r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    look(r); /* who connects at once finds a revision */
    int sys = r->wake_fd < 0 ? errno : pthread_create(&r->thread, NULL, thread_main, r);
    if (sys) {
        if (r->wake_fd >= 0)
            (void)close(r->wake_fd);
        free(r);
        return err_set(e, ERRC_SYS, sys, "publishing: thread");
    }
    *ret_r = r;
    return ERRC_OK;
}

struct reader *reader_free(struct reader *r)
{
    if (!r)
        return NULL;
    atomic_store(&r->ending, true);
    (void)reader_kick(r);
    (void)pthread_join(r->thread, NULL);
    (void)close(r->wake_fd);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
    return NULL;
}
