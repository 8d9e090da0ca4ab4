#include "lane.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    THREADS_MAX = 64,
    ASIDE_MAX = 16, /* of one user: a dashboard asks for several at once */
    FEW = 2,
    GROW_MS = 1000,
};

struct lane_thread {
    struct lane *lane;
    pthread_t thread;
    int wake_fd;
    uint64_t who; /* of the call that runs; 0: of nobody in particular */
};

struct lane {
    struct lane_options o;
    pthread_mutex_t lock;
    pthread_cond_t pushed;
    struct call *first, **last; /* of the queue */
    struct call *aside;         /* they wait for another call of theirs, the oldest first */
    unsigned n_queued;          /* those aside among them */
    unsigned n_running, n_threads;
    unsigned n_allowed;  /* at once */
    uint64_t changed_ns; /* that number */
    uint64_t n_refused;
    bool ending;
    struct lane_thread thread[THREADS_MAX];
};

/* ---- how many at once; under the lock ---- */

static void allow(struct lane *l, unsigned n)
{
    l->n_allowed = MIN(n, l->o.threads);
    l->changed_ns = clock_mono_ns();
}

static void allow_few(struct lane *l)
{
    allow(l, l->o.makes_way ? FEW : l->o.threads);
}

/* One waits, and no more are allowed at once. */
static void wait_or_grow(struct lane *l)
{
    uint64_t at_ns = l->changed_ns + clock_ms(GROW_MS);
    struct timespec at = clock_timespec(at_ns);

    if (clock_mono_ns() >= at_ns)
        allow(l, l->n_allowed + 1);
    else
        (void)pthread_cond_timedwait(&l->pushed, &l->lock, &at);
}

/* Until one may be taken, or none will come. */
static void wait_for_call(struct lane *l)
{
    while (l->first ? l->n_running >= l->n_allowed : !l->ending) {
        if (l->first) {
            wait_or_grow(l);
            continue;
        }
        if (!l->n_running)
            allow_few(l); /* what more would do to others is not known by now */
        (void)pthread_cond_wait(&l->pushed, &l->lock);
    }
}

void lane_make_way(struct lane *l)
{
    (void)pthread_mutex_lock(&l->lock);
    allow_few(l);
    (void)pthread_mutex_unlock(&l->lock);
}

static struct call *take(struct lane *l, struct lane_thread *t)
{
    struct call *c;

    (void)pthread_mutex_lock(&l->lock);
    wait_for_call(l);
    c = l->first;
    if (c) {
        l->first = c->next;
        if (!l->first)
            l->last = &l->first;
        else
            (void)pthread_cond_signal(&l->pushed); /* this thread may have taken its signal */
        l->n_queued--;
        l->n_running++;
        c->next = NULL;
        c->thread = t;
        c->wait.wake_fd = t->wake_fd;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return c;
}

/* ---- one at a time; under the lock ---- */

static bool runs(const struct lane *l, uint64_t who, const struct lane_thread *besides)
{
    for (unsigned i = 0; i < l->n_threads; i++)
        if (&l->thread[i] != besides && l->thread[i].who == who)
            return true;
    return false;
}

/* To the front: it has waited before. */
static void push_front(struct lane *l, struct call *c)
{
    c->next = l->first;
    l->first = c;
    if (!c->next)
        l->last = &c->next;
    (void)pthread_cond_signal(&l->pushed);
}

static void put_aside(struct lane *l, struct call *c)
{
    struct call **at = &l->aside;

    while (*at)
        at = &(*at)->next;
    c->next = NULL;
    *at = c;
}

static void next_of(struct lane *l, uint64_t who)
{
    struct call **at = &l->aside, *c;

    while (*at && (*at)->who != who)
        at = &(*at)->next;
    c = *at;
    if (!c)
        return;
    *at = c->next;
    push_front(l, c);
}

static unsigned n_aside(const struct lane *l, uint64_t who)
{
    unsigned n = 0;

    for (const struct call *c = l->aside; c; c = c->next)
        n += c->who == who;
    return n;
}

enum lane_turn lane_turn(struct call *c, uint64_t who)
{
    struct lane *l = c->thread->lane;
    enum lane_turn turn = LANE_GO;

    (void)pthread_mutex_lock(&l->lock);
    if (!runs(l, who, c->thread)) {
        c->thread->who = who;
    } else if (n_aside(l, who) >= ASIDE_MAX) {
        turn = LANE_FULL;
    } else {
        c->who = who;
        c->is_aside = true;
        turn = LANE_ASIDE;
    }
    (void)pthread_mutex_unlock(&l->lock);
    return turn;
}

/* ---- threads ---- */

/* What run() left: an answer, or a call whose turn has not come. */
static void give_back(struct lane *l, struct lane_thread *t, struct call *c)
{
    uint64_t n, who;
    bool is_done;

    (void)pthread_mutex_lock(&l->lock);
    c->thread = NULL;
    l->n_running--;
    who = t->who;
    t->who = 0;
    is_done = !c->is_aside;
    c->is_aside = false;
    if (!is_done) {
        l->n_queued++;
        if (runs(l, c->who, NULL))
            put_aside(l, c);
        else
            push_front(l, c);
    }
    if (who)
        next_of(l, who);
    (void)pthread_mutex_unlock(&l->lock);
    (void)!read(t->wake_fd, &n, sizeof n); /* a late wake-up is not the next call's */
    if (is_done)
        l->o.done(l->o.ctx, c);
}

static void *thread_main(void *arg)
{
    struct lane_thread *t = arg;
    struct lane *l = t->lane;
    struct call *c;

    (void)prctl(PR_SET_NAME, l->o.name, 0, 0, 0);
    while ((c = take(l, t))) {
        l->o.run(c, l->o.db);
        give_back(l, t, c);
    }
    return NULL;
}

bool lane_push(struct lane *l, struct call *c)
{
    bool fits;

    c->wait =
        (struct db_wait){.deadline_ns = clock_mono_ns() + l->o.deadline_ms * UINT64_C(1000000),
                         .cancelled = &c->cancelled,
                         .wake_fd = -1};
    (void)pthread_mutex_lock(&l->lock);
    fits = l->n_queued < l->o.queue_max && !l->ending;
    if (fits) {
        c->next = NULL;
        *l->last = c;
        l->last = &c->next;
        l->n_queued++;
        (void)pthread_cond_signal(&l->pushed);
    }
    l->n_refused += !fits;
    (void)pthread_mutex_unlock(&l->lock);
    return fits;
}

struct lane_load lane_load(struct lane *l)
{
    (void)pthread_mutex_lock(&l->lock);
    struct lane_load load = {l->n_running, l->n_queued, l->n_refused};
    (void)pthread_mutex_unlock(&l->lock);
    return load;
}

void lane_cancel(struct lane *l, struct call *c)
{
    uint64_t one = 1;

    atomic_store(&c->cancelled, true);
    (void)pthread_mutex_lock(&l->lock);
    if (c->thread)
        (void)!write(c->thread->wake_fd, &one, sizeof one); /* else it sees `cancelled` */
    (void)pthread_mutex_unlock(&l->lock);
}

static enum errc start_thread(struct lane *l, struct err *e)
{
    struct lane_thread *t = &l->thread[l->n_threads];

    t->lane = l;
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (t->wake_fd < 0)
        return err_set(e, ERRC_SYS, 0, "lane %s: eventfd", l->o.name);
    int rc = pthread_create(&t->thread, NULL, thread_main, t);
    if (rc) {
        (void)close(t->wake_fd);
        return err_set(e, ERRC_SYS, rc, "lane %s: thread", l->o.name);
    }
    l->n_threads++;
    return ERRC_OK;
}

enum errc lane_new(struct lane **ret_l, const struct lane_options *o, struct err *e)
{
    struct lane *l = calloc(1, sizeof *l);
    enum errc rc = ERRC_OK;
    pthread_condattr_t attr;

    ASSERT(o->threads > 0 && o->threads <= THREADS_MAX);
    if (!l)
        return err_set(e, ERRC_NOMEM, 0, "lane %s", o->name);
    l->o = *o;
    l->last = &l->first;
    (void)pthread_mutex_init(&l->lock, NULL); /* of default attributes: cannot fail on Linux */
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->pushed, &attr);
    (void)pthread_condattr_destroy(&attr);
    allow_few(l);
    while (!rc && l->n_threads < o->threads)
        rc = start_thread(l, e);
    if (rc)
        lane_free(l);
    else
        *ret_l = l;
    return rc;
}

struct lane *lane_free(struct lane *l)
{
    if (!l)
        return NULL;
    (void)pthread_mutex_lock(&l->lock);
    l->ending = true;
    (void)pthread_cond_broadcast(&l->pushed);
    (void)pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < l->n_threads; i++) {
        (void)pthread_join(l->thread[i].thread, NULL);
        (void)close(l->thread[i].wake_fd);
    }
    (void)pthread_cond_destroy(&l->pushed);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
    return NULL;
}
