#include "publish/transcript_intake.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/log.h"

enum { QUEUE_MAX = 4 /* of 4 MiB at most */, ALARM_MS = 10000 };

struct transcript_intake {
    struct transcript_intake_options o;
    pthread_t thread;
    bool is_running;
    uint64_t alarm_ns;    /* the thread's own */
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t pushed;
    struct hub_delivery queue[QUEUE_MAX];
    unsigned n;
    bool is_ending;
};

bool transcript_intake_push(struct transcript_intake *i, const struct hub_delivery *u)
{
    (void)pthread_mutex_lock(&i->lock);
    bool fits = i->n < QUEUE_MAX && !i->is_ending;
    if (fits) {
        i->queue[i->n++] = *u;
        (void)pthread_cond_signal(&i->pushed);
    }
    (void)pthread_mutex_unlock(&i->lock);
    return fits;
}

static bool pull(struct transcript_intake *i, struct hub_delivery *ret)
{
    (void)pthread_mutex_lock(&i->lock);
    while (!i->n && !i->is_ending)
        (void)pthread_cond_wait(&i->pushed, &i->lock);
    bool goes_on = !i->is_ending;
    if (goes_on) {
        *ret = i->queue[0];
        memmove(i->queue, i->queue + 1, --i->n * sizeof *i->queue);
    }
    (void)pthread_mutex_unlock(&i->lock);
    return goes_on;
}

static void done(struct transcript_intake *i, const struct hub_delivery *u, struct str answer)
{
    hub_done(i->o.hub, HUB_TRANSCRIPTS, u->to, u->session, answer);
    weir__request__free_unpacked(u->request, NULL);
}

static struct str take(struct transcript_intake *i, const struct hub_delivery *u, struct wire *w)
{
    Weir__TranscriptsTaken taken;
    Weir__Reply r;
    struct err e = {0};
    uint64_t now_ns = clock_mono_ns();
    enum errc rc = i->o.take(i->o.key, i->o.db, u->request->transcripts, &e);

    if (rc && now_ns >= i->alarm_ns) {
        i->alarm_ns = now_ns + ALARM_MS * UINT64_C(1000000);
        log_warn("transcripts_not_taken", "error=\"%s\" consequence=\"data planes keep some\"",
                 e.msg);
    }
    if (rc)
        return wire_refusal(
            w, rc == ERRC_INVALID ? WEIR__REFUSAL__WHY__MALFORMED : WEIR__REFUSAL__WHY__AWAY,
            "not taken");
    weir__transcripts_taken__init(&taken);
    weir__reply__init(&r);
    r.is_case = WEIR__REPLY__IS_TRANSCRIPTS_TAKEN;
    r.transcripts_taken = &taken;
    return wire_reply(w, &r);
}

static void *thread_main(void *arg)
{
    struct transcript_intake *i = arg;
    struct wire wire = {0};
    struct hub_delivery u;

    (void)prctl(PR_SET_NAME, "weir-transcript", 0, 0, 0);
    while (pull(i, &u))
        done(i, &u, take(i, &u, &wire));
    wire_deinit(&wire);
    return NULL;
}

enum errc transcript_intake_new(struct transcript_intake **ret_i,
                                const struct transcript_intake_options *o, struct err *e)
{
    struct transcript_intake *i = calloc(1, sizeof *i);

    if (!i)
        return err_set(e, ERRC_NOMEM, 0, "intake of transcripts");
    i->o = *o;
    (void)pthread_mutex_init(&i->lock, NULL); /* of default attributes: cannot fail on Linux */
    (void)pthread_cond_init(&i->pushed, NULL);
    int rc = pthread_create(&i->thread, NULL, thread_main, i);
    i->is_running = !rc;
    if (rc) {
        transcript_intake_free(i);
        return err_set(e, ERRC_SYS, rc, "intake of transcripts: thread");
    }
    *ret_i = i;
    return ERRC_OK;
}

void transcript_intake_stop(struct transcript_intake *i)
{
    if (!i || !i->is_running)
        return;
    (void)pthread_mutex_lock(&i->lock);
    i->is_ending = true;
    (void)pthread_cond_broadcast(&i->pushed);
    (void)pthread_mutex_unlock(&i->lock);
    (void)pthread_join(i->thread, NULL);
    i->is_running = false;
    while (i->n)
        done(i, &i->queue[--i->n], (struct str){0});
}

struct transcript_intake *transcript_intake_free(struct transcript_intake *i)
{
    if (!i)
        return NULL;
    transcript_intake_stop(i);
    (void)pthread_cond_destroy(&i->pushed);
    (void)pthread_mutex_destroy(&i->lock);
    free(i);
    return NULL;
}
