#include "publish/intake.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    THREADS_MAX = 8,
    QUEUE_MAX = 32, /* of half a MiB at most: who is refused sends again, later */
    ALARM_MS = 10000,
};

struct batch {
    struct batch *next;
    struct hub_usage of;
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

bool intake_push(struct intake *i, const struct hub_usage *u)
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

/* NULL: it ends. */
static struct batch *pull(struct intake *i)
{
    (void)pthread_mutex_lock(&i->lock);
    while (!i->first && !i->ending)
        (void)pthread_cond_wait(&i->pushed, &i->lock);
    struct batch *b = i->ending ? NULL : i->first;
    if (b) {
        i->first = b->next;
        if (!i->first)
            i->last = &i->first;
        i->n--;
    }
    (void)pthread_mutex_unlock(&i->lock);
    return b;
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

static struct str answer(struct intake *i, const Weir__UsageBatch *b, struct wire *w)
{
    Weir__UsageTaken taken;
    Weir__Reply r;
    struct err e = {0};

    weir__usage_taken__init(&taken);
    weir__reply__init(&r);
    enum errc rc = b->spool.len != 16 || b->records.len > USAGE_MAX
                       ? err_set(&e, ERRC_INVALID, 0, "a batch without a spool, or too large")
                       : i->o.take(i->o.ctx, i->o.db, b, &taken, &e);
    note(i, rc, &e);
    if (rc)
        return wire_refusal(
            w, rc == ERRC_INVALID ? WEIR__REFUSAL__WHY__MALFORMED : WEIR__REFUSAL__WHY__AWAY,
            "not taken");
    r.is_case = WEIR__REPLY__IS_USAGE_TAKEN;
    r.usage_taken = &taken;
    return wire_reply(w, &r);
}

static void *thread_main(void *arg)
{
    struct intake *i = arg;
    struct wire wire = {0};
    struct batch *b;

    (void)prctl(PR_SET_NAME, "weir-intake", 0, 0, 0);
    while ((b = pull(i))) {
        struct str bytes = answer(i, b->of.request->usage, &wire);
        hub_usage_done(i->o.hub, b->of.to, b->of.session, bytes);
        batch_free(b);
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
        hub_usage_done(i->o.hub, b->of.to, b->of.session, (struct str){0});
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
