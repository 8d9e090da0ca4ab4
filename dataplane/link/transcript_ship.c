#include "link/transcript_ship.h"

#include <sys/prctl.h>

#include "common/clock.h"
#include "common/gateway/transcript.h"
#include "common/log.h"

#include "link/transcript_text.h"
#include "link/way.h"

enum {
    ASK_MS = 10000,
    LOOK_MS = 100,         /* between two looks at rings that were empty */
    BACK_OFF_MIN_MS = 100, /* doubled with each failure */
    BACK_OFF_MAX_MS = 5000,
    BATCH_BYTES = 768 * 1024, /* sealed: no more is begun */
    TEXT_ARENA = 32 * 1024 * 1024,
    BATCH_ARENA = 32 * 1024 * 1024,
};

struct transcript_ship {
    struct shared *shared;
    const struct transcripts *rings;
    pthread_t thread;
    bool has_thread;
    struct way way;
    struct seal_key key; /* under way.lock, as the next */
    uint32_t string_max;

    /* the thread's own */
    struct way_session used;
    struct arena text, batch, answer;
    uint64_t *ends; /* by region: what the batch holds of it */
    unsigned first; /* region the next batch begins with */
    unsigned failures;
    uint64_t not_before_ns;
    bool is_refused; /* it takes none; told once a session */
};

struct batch {
    Weir__Transcript of[TRANSCRIPTS_BATCH], *each[TRANSCRIPTS_BATCH];
    size_t n, bytes;
};

static unsigned regions(const struct transcript_ship *s)
{
    return MIN(shared_regions(s->shared), s->rings->regions);
}

/* ---- one transcript ---- */

static void lost(struct transcript_ship *s, size_t n)
{
    pod_metric_add(s->shared, POD_TRANSCRIPTS_LOST, n);
}

static struct str sealed(struct transcript_ship *s, const struct transcript_view *v,
                         const struct seal_key *key, uint32_t string_max)
{
    const struct transcript_entry *en = &v->entry;
    const struct transcript_part request = {v->request, en->request_bytes},
                                 reply = {v->reply, en->reply_bytes};
    const struct transcript_rules rules = {.string_max = string_max,
                                           .redacts = en->flags & TRANSCRIPT_REDACT};
    const struct transcript_id id = {{en->call, TRANSCRIPT_CALL}, en->start_us, en->attempt};
    struct str text = transcript_text(&request, &reply, &rules, &s->text), ret = {0};

    if (text.n)
        ret = transcript_seal(key, &id, text, &s->batch);
    arena_reset(&s->text);
    return ret;
}

static void add(struct transcript_ship *s, struct batch *b, const struct transcript_view *v,
                const struct seal_key *key, uint32_t string_max)
{
    struct str call = arena_str(&s->batch, (struct str){v->entry.call, TRANSCRIPT_CALL});
    struct str text = sealed(s, v, key, string_max);
    Weir__Transcript *m = &b->of[b->n];

    if (!call.n || !text.n) {
        lost(s, 1);
        return;
    }
    weir__transcript__init(m);
    m->call = (ProtobufCBinaryData){call.n, (uint8_t *)(uintptr_t)call.p};
    m->start_us = v->entry.start_us;
    m->attempt = v->entry.attempt;
    m->sealed = (ProtobufCBinaryData){text.n, (uint8_t *)(uintptr_t)text.p};
    b->each[b->n++] = m;
    b->bytes += text.n;
}

/* ---- a batch ---- */

/* What waits in a ring, as far as there is room. */
static void collect(struct transcript_ship *s, unsigned i, struct batch *b,
                    const struct seal_key *key, uint32_t string_max)
{
    const struct transcript_region *r = transcripts_region(s->rings, i);
    struct transcript_view v;
    uint64_t next;

    s->ends[i] = atomic_load_explicit(&r->tail, memory_order_relaxed); /* ours */
    while (b->n < TRANSCRIPTS_BATCH && b->bytes < BATCH_BYTES) {
        bool is_one = transcript_peek(r, s->ends[i], &v, &next);
        lost(s, !is_one && next != s->ends[i]);
        s->ends[i] = next;
        if (!is_one)
            return;
        add(s, b, &v, key, string_max);
    }
}

static void release(struct transcript_ship *s)
{
    for (unsigned i = 0; i < regions(s); i++) {
        struct transcript_region *r = transcripts_region(s->rings, i);
        if (s->ends[i] != r->tail)
            transcript_release(r, s->ends[i]);
    }
}

static void back_off(struct transcript_ship *s)
{
    s->not_before_ns =
        clock_mono_ns() + clock_ms(MIN(BACK_OFF_MIN_MS << MIN(s->failures, 10U), BACK_OFF_MAX_MS));
    s->failures++;
}

/* True: they need not be sent again. */
static bool refused(struct transcript_ship *s, const Weir__Refusal *r, size_t n)
{
    switch (r->why) {
    case WEIR__REFUSAL__WHY__MALFORMED:
        lost(s, n);
        return true;
    case WEIR__REFUSAL__WHY__UNKNOWN_REQUEST: /* an older control plane */
        log_warn("transcripts_not_taken", "consequence=\"prompts are not stored\"");
        s->is_refused = true;
        return false;
    case WEIR__REFUSAL__WHY__EXPIRED:
    case WEIR__REFUSAL__WHY__AWAY:
    case WEIR__REFUSAL__WHY__FORBIDDEN:
    case WEIR__REFUSAL__WHY__NO_PROTOCOL:
    case _WEIR__REFUSAL__WHY_IS_INT_SIZE:
        break;
    }
    back_off(s);
    return false;
}

static bool send(struct transcript_ship *s, struct batch *b)
{
    Weir__Transcripts m;
    Weir__Request q;
    const Weir__Reply *a;
    struct err e;

    weir__transcripts__init(&m);
    m.n_transcripts = b->n;
    m.transcripts = b->each;
    weir__request__init(&q);
    q.is_case = WEIR__REQUEST__IS_TRANSCRIPTS;
    q.transcripts = &m;
    enum errc rc = way_ask(&s->way, &s->used, PLANE_TRANSCRIPTS, &q, ASK_MS, &s->answer, &a, &e);
    if (!rc && a->is_case == WEIR__REPLY__IS_REFUSAL)
        return refused(s, a->refusal, b->n);
    if (rc || a->is_case != WEIR__REPLY__IS_TRANSCRIPTS_TAKEN) {
        back_off(s);
        return false;
    }
    s->failures = 0;
    pod_metric_add(s->shared, POD_TRANSCRIPTS_SENT, b->n);
    return true;
}

/* Once around the rings; true: there may be more. */
static bool carry(struct transcript_ship *s)
{
    struct batch b = {.n = 0};
    unsigned n = regions(s);

    (void)pthread_mutex_lock(&s->way.lock);
    struct seal_key key = s->key;
    uint32_t string_max = s->string_max;
    (void)pthread_mutex_unlock(&s->way.lock);
    if (!key.is_set)
        return false;
    for (unsigned i = 0; i < n; i++)
        collect(s, (s->first + i) % n, &b, &key, string_max);
    memset(&key, 0, sizeof key);
    bool is_done = !b.n || send(s, &b);
    if (is_done)
        release(s);
    s->first = n ? (s->first + 1) % n : 0;
    arena_reset(&s->batch);
    arena_reset(&s->answer);
    return is_done && b.n;
}

/* ---- the thread ---- */

static bool turn(struct transcript_ship *s)
{
    if (way_enter(&s->way, &s->used)) {
        s->is_refused = false;
        s->not_before_ns = 0;
    }
    return s->used.plane && !s->is_refused && clock_mono_ns() >= s->not_before_ns && carry(s);
}

static bool wait(struct transcript_ship *s)
{
    uint64_t until_ns = clock_mono_ns() + clock_ms(LOOK_MS);
    struct timespec until = {(time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000)};
    struct way *w = &s->way;

    (void)pthread_mutex_lock(&w->lock);
    while (!w->is_stopped && pthread_cond_timedwait(&w->woken, &w->lock, &until) == 0)
        ;
    bool goes_on = !w->is_stopped;
    (void)pthread_mutex_unlock(&w->lock);
    return goes_on;
}

static void *run(void *arg)
{
    struct transcript_ship *s = arg;

    (void)prctl(PR_SET_NAME, "weir-transcript", 0, 0, 0);
    while (wait(s))
        while (turn(s))
            ;
    return NULL;
}

/* ---- from outside ---- */

struct transcript_ship *transcript_ship_new(struct shared *shared, const struct transcripts *rings)
{
    struct transcript_ship *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->ends = calloc(rings->regions, sizeof *s->ends);
    if (!s->ends) {
        free(s);
        return NULL;
    }
    s->shared = shared;
    s->rings = rings;
    arena_init(&s->text, NULL, TEXT_ARENA);
    arena_init(&s->batch, NULL, BATCH_ARENA);
    arena_init(&s->answer, NULL, REPLY_ARENA);
    way_init(&s->way);
    return s;
}

struct transcript_ship *transcript_ship_free(struct transcript_ship *s)
{
    if (!s)
        return NULL;
    way_stop(&s->way);
    if (s->has_thread)
        (void)pthread_join(s->thread, NULL);
    way_deinit(&s->way);
    free(s->ends);
    memset(&s->key, 0, sizeof s->key);
    free(s);
    return NULL;
}

enum errc transcript_ship_configure(struct transcript_ship *s, const struct transcript_config *c,
                                    struct err *e)
{
    struct seal_key key;

    if (!c->is_on)
        return ERRC_OK; /* what is left is still sent */
    if (!seal_key_init(&key, c->secret))
        return err_set(e, ERRC_INVALID, 0, "no key for transcripts");
    (void)pthread_mutex_lock(&s->way.lock);
    s->key = key;
    s->string_max = c->string_max;
    (void)pthread_mutex_unlock(&s->way.lock);
    int rc = s->has_thread ? 0 : pthread_create(&s->thread, NULL, run, s);
    if (rc)
        return err_set(e, ERRC_SYS, rc, "thread that ships transcripts");
    s->has_thread = true;
    return ERRC_OK;
}

void transcript_ship_session(struct transcript_ship *s, struct plane *plane,
                             const unsigned char *name, size_t n)
{
    way_give(&s->way, plane, name, n);
}

bool transcript_ship_is_done(struct transcript_ship *s)
{
    bool is_empty = true;

    for (unsigned i = 0; i < regions(s); i++) {
        const struct transcript_region *r = transcripts_region(s->rings, i);
        is_empty &= r->head == r->tail;
    }
    (void)pthread_mutex_lock(&s->way.lock);
    bool is_alone = !s->way.now.plane;
    (void)pthread_mutex_unlock(&s->way.lock);
    return is_empty || is_alone || !s->has_thread;
}
