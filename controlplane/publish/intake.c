#include "publish/intake.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    THREADS_MAX = 8,
    QUEUE_MAX = 16, /* of two MiB at most: who is refused sends again, later */
    ALARM_MS = 10000,
};

struct batch {
    struct batch *next;
    struct hub_delivery of;
};

struct intake {
    struct intake_options o;
    pthread_t thread[THREADS_MAX];
    unsigned n_threads;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t pushed;
    struct batch *first, **last;
    unsigned n;
    bool ending, is_failing;
    uint64_t alarm_ns;
};

static void batch_free(struct batch *b)
{
    weir__request__free_unpacked(b->of.request, NULL);
    free(b);
}

bool intake_push(struct intake *i, const struct hub_delivery *u)
{
    struct batch *b = malloc(sizeof *b);

    if (!b)
        return false;
    *b = (struct batch){.of = *u};
    (void)pthread_mutex_lock(&i->lock);
    bool fits = i->n < QUEUE_MAX && !i->ending;
    if (fits) {
        *i->last = b;
        i->last = &b->next;
        i->n++;
        (void)pthread_cond_signal(&i->pushed);
    }
    (void)pthread_mutex_unlock(&i->lock);
    if (!fits)
        free(b); /* the request stays the caller's */
    return fits;
}

static size_t batches_of(const Weir__Request *r, const Weir__UsageBatch *ret[USAGE_BATCHES])
{
    const Weir__UsageBatches *m = r->usage_batches;

    if (r->is_case == WEIR__REQUEST__IS_USAGE) {
        ret[0] = r->usage;
        return 1;
    }
    size_t n = MIN(m->n_batches, (size_t)USAGE_BATCHES + 1);
    for (size_t i = 0; i < MIN(n, (size_t)USAGE_BATCHES); i++)
        ret[i] = m->batches[i];
    return n;
}

static size_t count_of(const struct batch *b)
{
    const Weir__Request *r = b->of.request;

    return r->is_case == WEIR__REQUEST__IS_USAGE
               ? 1
               : MIN(r->usage_batches->n_batches, (size_t)USAGE_BATCHES);
}

/* How many requests; 0: it ends. */
static size_t pull(struct intake *i, struct batch *ret[INTAKE_MERGE])
{
    size_t n = 0, total = 0;

    (void)pthread_mutex_lock(&i->lock);
    while (!i->first && !i->ending)
        (void)pthread_cond_wait(&i->pushed, &i->lock);
    while (!i->ending && i->first && n < INTAKE_MERGE &&
           total + count_of(i->first) <= INTAKE_MERGE) {
        total += count_of(i->first);
        ret[n++] = i->first;
        i->first = i->first->next;
        i->n--;
    }
    if (!i->first)
        i->last = &i->first;
    (void)pthread_mutex_unlock(&i->lock);
    return n;
}

/* Once when it begins to fail, then now and then, and when it works again. */
static void note(struct intake *i, enum errc rc, const struct err *e)
{
    uint64_t now_ns = clock_mono_ns();

    (void)pthread_mutex_lock(&i->lock);
    bool was_failing = i->is_failing, is_due = rc && now_ns >= i->alarm_ns;
    i->is_failing = rc != ERRC_OK;
    if (is_due)
        i->alarm_ns = now_ns + ALARM_MS * UINT64_C(1000000);
    (void)pthread_mutex_unlock(&i->lock);
    if (is_due)
        log_warn("usage_not_taken", "error=\"%s\" consequence=\"data planes keep it\"", e->msg);
    else if (!rc && was_failing)
        log_info("usage_taken", "again=ok");
}

static struct str reply_of(struct wire *w, enum errc rc, Weir__UsageTaken *taken)
{
    Weir__Reply r;

    if (rc)
        return wire_refusal(
            w, rc == ERRC_INVALID ? WEIR__REFUSAL__WHY__MALFORMED : WEIR__REFUSAL__WHY__AWAY,
            "not taken");
    weir__reply__init(&r);
    r.is_case = WEIR__REPLY__IS_USAGE_TAKEN;
    r.usage_taken = taken;
    return wire_reply(w, &r);
}

/* All in one; where one is no batch, each request by itself. */
static void take(struct intake *i, struct batch *const *b, size_t n, struct wire *w)
{
    const Weir__UsageBatch *of[INTAKE_MERGE] = {0};
    Weir__UsageTaken taken[INTAKE_MERGE];
    size_t last[INTAKE_MERGE] = {0}, total = 0;
    enum errc rc = ERRC_OK;
    struct err e = {0};

    for (size_t k = 0; k < n; k++) {
        size_t count = batches_of(b[k]->of.request, of + total);
        if (!count || count > USAGE_BATCHES)
            rc = err_set(&e, ERRC_INVALID, 0, "a request of %zu batches", count);
        total += MIN(count, (size_t)USAGE_BATCHES);
        last[k] = total ? total - 1 : 0;
    }
    for (size_t k = 0; k < INTAKE_MERGE; k++)
        weir__usage_taken__init(&taken[k]);
    if (!rc)
        rc = i->o.take(i->o.ctx, i->o.db, of, total, taken, &e);
    if (rc == ERRC_INVALID && n > 1) {
        for (size_t k = 0; k < n; k++)
            take(i, b + k, 1, w);
        return;
    }
    note(i, rc, &e);
    for (size_t k = 0; k < n; k++)
        hub_done(i->o.hub, HUB_USAGE, b[k]->of.to, b[k]->of.session,
                 reply_of(w, rc, &taken[last[k]]));
}

static void *thread_main(void *arg)
{
    struct batch *b[INTAKE_MERGE];
    struct intake *i = arg;
    struct wire wire = {0};
    size_t n;

    (void)prctl(PR_SET_NAME, "weir-intake", 0, 0, 0);
    while ((n = pull(i, b))) {
        take(i, b, n, &wire);
        for (size_t k = 0; k < n; k++)
            batch_free(b[k]);
    }
    wire_deinit(&wire);
    return NULL;
}

enum errc intake_new(struct intake **ret_i, const struct intake_options *o, struct err *e)
{
    struct intake *i = calloc(1, sizeof *i);
    int rc = 0;

    ASSERT(o->threads > 0 && o->threads <= THREADS_MAX);
    if (!i)
        return err_set(e, ERRC_NOMEM, 0, "intake");
    i->o = *o;
    i->last = &i->first;
    (void)pthread_mutex_init(&i->lock, NULL); /* of default attributes: cannot fail on Linux */
    (void)pthread_cond_init(&i->pushed, NULL);
    while (!rc && i->n_threads < o->threads) {
        rc = pthread_create(&i->thread[i->n_threads], NULL, thread_main, i);
        i->n_threads += !rc;
    }
    if (rc) {
        intake_free(i);
        return err_set(e, ERRC_SYS, rc, "intake: thread");
    }
    *ret_i = i;
    return ERRC_OK;
}

void intake_stop(struct intake *i)
{
    struct batch *next;

    if (!i || !i->n_threads)
        return;
    (void)pthread_mutex_lock(&i->lock);
    i->ending = true;
    (void)pthread_cond_broadcast(&i->pushed);
    (void)pthread_mutex_unlock(&i->lock);
    while (i->n_threads)
        (void)pthread_join(i->thread[--i->n_threads], NULL);
    for (struct batch *b = i->first; b; b = next) {
        next = b->next;
        hub_done(i->o.hub, HUB_USAGE, b->of.to, b->of.session, (struct str){0});
        batch_free(b);
    }
    i->first = NULL;
}

struct intake *intake_free(struct intake *i)
{
    if (!i)
        return NULL;
    intake_stop(i);
    (void)pthread_cond_destroy(&i->pushed);
    (void)pthread_mutex_destroy(&i->lock);
    free(i);
    return NULL;
}
