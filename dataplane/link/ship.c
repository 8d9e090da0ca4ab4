#include "link/ship.h"

#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"

#include "link/way.h"

enum {
    ASK_MS = 30000,        /* a backlog is much work for a database */
    PACE_MS = 50,          /* between batches that are not full: each costs a transaction */
    FULL = 64 * 1024,      /* bytes: more follow at once */
    BATCHES_MAX = 8,       /* of a request: of a backlog they are cheaper together */
    BACK_OFF_MIN_MS = 100, /* doubled with each failure */
    BACK_OFF_MAX_MS = 5000,
    LOOK_MS = 1000, /* between two looks at what waits */
};

struct ship {
    struct shared *shared;
    pthread_t thread;
    bool has_thread;
    struct way way;
    struct spool *spool; /* under way.lock; NULL: not open yet */
    bool is_done;        /* likewise */

    /* the thread's own */
    struct spool_reader reader;
    unsigned char
        *buffers[BATCHES_MAX]; /* SPOOL_BATCH_MAX; but the first one, only with a backlog */
    struct arena arena;        /* one answer */
    struct way_session used;   /* the session it is in */
    bool has_reader;
    bool is_known;         /* `at` is what the control plane said, in this session */
    bool was_known;        /* in some session of this process */
    bool is_refused;       /* it takes no usage; told once a session */
    struct spool_place at; /* everything before it is counted */
    struct spool_place
        floor; /* nothing before it is sent; {0, 0} but for a spool under a new name */
    uint64_t not_before_ns;
    unsigned failures; /* in a row */
    uint64_t look_ns;
    struct spool_place oldest_at; /* the record at that place was made then */
    int64_t oldest_us;
};

enum step { STEP_ON, STEP_IDLE }; /* again at once, or when there is news */

/* ---- what waits, for those who watch ---- */

static int64_t time_of(struct str records)
{
    struct spool_entry en;
    size_t len;
    int64_t us = 0;

    if (!spool_record_read((const unsigned char *)records.p, records.n, &en, &len))
        return 0;
    Weir__UsageRecord *m = weir__usage_record__unpack(NULL, en.body.n, (const uint8_t *)en.body.p);
    if (m) {
        us = m->end_us;
        weir__usage_record__free_unpacked(m, NULL);
    }
    return us;
}

static void note_oldest(struct ship *s, const struct spool_batch *b)
{
    if (!b->records.n)
        return;
    s->oldest_at = b->from;
    s->oldest_us = time_of(b->records);
}

static uint64_t bytes_between(const struct ship *s, struct spool_place from, struct spool_place to)
{
    char path[SPOOL_PATH];
    uint64_t sum = 0, first, last;
    struct stat st;
    struct err e;

    if (spool_range(spool_dir(s->spool), &first, &last, &e))
        return 0;
    for (uint64_t n = MAX(from.segment, first); n <= to.segment; n++) {
        spool_segment_path(path, spool_dir(s->spool), n);
        uint64_t size = stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
        uint64_t end = n == to.segment ? MIN(size, to.offset) : size;
        sum += end - MIN(end, n == from.segment ? from.offset : 0);
    }
    return sum;
}

static void look(struct ship *s, uint64_t now_ns)
{
    struct spool_place end = spool_synced(s->spool);
    struct spool_batch b = {.next = s->at};
    struct err e;
    bool any = true;

    if (now_ns < s->look_ns)
        return;
    s->look_ns = now_ns + clock_ms(LOOK_MS);
    uint64_t bytes = bytes_between(s, s->at, end), age_ms = 0;
    bool is_old = !s->oldest_us || spool_place_cmp(s->oldest_at, s->at) < 0;
    while (bytes && is_old && any && !b.records.n)
        if (spool_reader_next(&s->reader, s->buffers[0], b.next, end, &b, &any,
                              &e)) /* shipping says why */
            any = false;
    if (is_old && any)
        note_oldest(s, &b);
    int64_t now_us = clock_wall_us();
    if (bytes && s->oldest_us && now_us > s->oldest_us)
        age_ms = (uint64_t)(now_us - s->oldest_us) / 1000;
    pod_metric_set(s->shared, POD_UNSHIPPED_BYTES, bytes);
    pod_metric_set(s->shared, POD_UNSHIPPED_MS, age_ms);
}

/* ---- asking ---- */

static void fill(Weir__UsageBatch *m, const struct spool_batch *b, unsigned char name[NAME_FILE])
{
    weir__usage_batch__init(m);
    m->spool = (ProtobufCBinaryData){NAME_FILE, name};
    m->segment = b->from.segment;
    m->from = b->from.offset;
    m->records = (ProtobufCBinaryData){b->records.n, (uint8_t *)(uintptr_t)b->records.p};
    m->next_segment = b->next.segment;
    m->next_offset = b->next.offset;
    m->after_segment = b->after.segment;
    m->after_offset = b->after.offset;
}

/* The answer lies in s->arena. */
static enum errc ask(struct ship *s, const struct spool_batch *b, size_t n_batches,
                     const Weir__Reply **ret, struct err *e)
{
    Weir__UsageBatch of[BATCHES_MAX], *each[BATCHES_MAX];
    unsigned char name[NAME_FILE];
    Weir__UsageBatches m;
    Weir__Request q;

    if (!spool_name(s->spool, false, name))
        return err_set(e, ERRC_SYS, 0, "the spool's name cannot be kept");
    weir__usage_batches__init(&m);
    weir__request__init(&q);
    for (size_t i = 0; i < n_batches; i++) {
        fill(&of[i], &b[i], name);
        each[i] = &of[i];
    }
    m.batches = each;
    m.n_batches = n_batches;
    q.is_case = n_batches == 1 ? WEIR__REQUEST__IS_USAGE : WEIR__REQUEST__IS_USAGE_BATCHES;
    if (n_batches == 1)
        q.usage = &of[0];
    else
        q.usage_batches = &m;
    return way_ask(&s->way, &s->used, PLANE_USAGE, &q, ASK_MS, &s->arena, ret, e);
}

/* At random between half and all of what it would be, so that not all pods come at once. */
static void back_off(struct ship *s)
{
    unsigned ms =
        MIN((unsigned)BACK_OFF_MIN_MS << MIN(s->failures, 10U), (unsigned)BACK_OFF_MAX_MS);
    unsigned r = 0;

    (void)!getrandom(&r, sizeof r, 0);
    s->failures++;
    s->is_known = false;
    s->not_before_ns = clock_mono_ns() + clock_ms(ms / 2 + r % (ms / 2 + 1));
}

static enum step failed(struct ship *s, const struct err *e)
{
    pod_metric_add(s->shared, POD_SHIP_FAILURES, 1);
    if (s->failures == 0)
        log_warn("usage_not_shipped", "error=\"%s\" consequence=\"kept and sent again\"", e->msg);
    back_off(s);
    return STEP_ON;
}

static enum step refused(struct ship *s, const Weir__Refusal *r)
{
    struct err e;

    switch (r->why) {
    case WEIR__REFUSAL__WHY__EXPIRED:
        s->is_refused = true; /* the session's thread will see it as well, and say Hello */
        return STEP_IDLE;
    case WEIR__REFUSAL__WHY__UNKNOWN_REQUEST: /* an older control plane */
        log_warn("usage_not_taken", "consequence=\"kept until a control plane takes it\"");
        s->is_refused = true;
        return STEP_IDLE;
    case WEIR__REFUSAL__WHY__AWAY:
    case WEIR__REFUSAL__WHY__FORBIDDEN:
    case WEIR__REFUSAL__WHY__NO_PROTOCOL:
    case WEIR__REFUSAL__WHY__MALFORMED:
    case _WEIR__REFUSAL__WHY_IS_INT_SIZE:
        break;
    }
    (void)err_set(&e, ERRC_CLOSED, 0, "refused (%d)", (int)r->why);
    return failed(s, &e);
}

/* ---- the cursor ---- */

/*
 * The first answer a process gets lies within what its predecessors wrote; else this is another
 * spool, come back from a copy. Under a new name it begins with what this process wrote: all before
 * was sent, or is not here.
 */
static bool is_foreign(struct ship *s, struct spool_place cursor)
{
    unsigned char name[NAME_FILE];

    if (s->was_known || spool_place_cmp(cursor, spool_begun(s->spool)) <= 0)
        return false;
    log_error("spool_replaced",
              "counted_segment=%llu counted_offset=%llu consequence=\"goes on under a new name\"",
              (unsigned long long)cursor.segment, (unsigned long long)cursor.offset);
    s->floor = spool_begun(s->spool);
    s->was_known = spool_name(s->spool, true, name); /* else it is tried again */
    return true;
}

static void set_cursor(struct ship *s, struct spool_place cursor)
{
    if (spool_place_cmp(cursor, s->at) < 0)
        log_warn("usage_fell_back",
                 "segment=%llu offset=%llu consequence=\"what is kept is sent again from there\"",
                 (unsigned long long)cursor.segment, (unsigned long long)cursor.offset);
    s->at = cursor;
    s->is_known = s->was_known = true;
    s->failures = 0;
    spool_taken(s->spool, cursor);
}

/* Sends them. `cursor`: where the control plane then stands; STEP_IDLE with `is_refused`, or backed
 * off: it does not say. */
static bool send(struct ship *s, const struct spool_batch *b, size_t n, struct spool_place *cursor,
                 enum step *ret)
{
    const Weir__Reply *a;
    struct err e;
    enum errc rc = ask(s, b, n, &a, &e);

    if (!rc && a->is_case == WEIR__REPLY__IS_REFUSAL) {
        *ret = refused(s, a->refusal);
        return false;
    }
    if (!rc && a->is_case != WEIR__REPLY__IS_USAGE_TAKEN)
        rc = err_set(&e, ERRC_PROTO, 0, "it answered usage with something else");
    if (rc) {
        *ret = failed(s, &e);
        return false;
    }
    *cursor = (struct spool_place){a->usage_taken->segment, a->usage_taken->offset};
    return true;
}

static enum step ask_cursor(struct ship *s)
{
    const struct spool_batch nothing = {.records = {0}};
    struct spool_place cursor;
    enum step step = STEP_ON;
    struct err e;

    if (!send(s, &nothing, 1, &cursor, &step))
        return step;
    if (is_foreign(s, cursor))
        return STEP_ON;
    if (spool_place_cmp(cursor, spool_synced(s->spool)) > 0) {
        (void)err_set(&e, ERRC_PROTO, 0, "it stands behind the end of the spool");
        return failed(s, &e);
    }
    set_cursor(s, cursor);
    if (spool_place_cmp(cursor, s->floor) < 0) { /* nothing there is missing */
        const struct spool_batch skip = {.after = cursor, .from = cursor, .next = s->floor};
        if (send(s, &skip, 1, &cursor, &step))
            set_cursor(s, cursor);
    }
    return step;
}

static void note_gap(struct ship *s, struct spool_place at, const struct spool_batch *b)
{
    if (spool_place_cmp(b->from, at) <= 0)
        return;
    log_error("spool_gap", "segment=%llu offset=%llu consequence=\"records are lost\"",
              (unsigned long long)at.segment, (unsigned long long)at.offset);
    pod_metric_add(s->shared, POD_SPOOL_GAPS, 1);
}

static void forget_buffers(struct ship *s, size_t from)
{
    for (size_t i = from; i < BATCHES_MAX; i++) {
        free(s->buffers[i]);
        s->buffers[i] = NULL;
    }
}

/* What follows `at`: more than one batch while they are full. */
static enum errc read_batches(struct ship *s, struct spool_batch *ret, size_t *ret_n, struct err *e)
{
    struct spool_place at = s->at, end = spool_synced(s->spool);
    bool any = true;

    for (*ret_n = 0; *ret_n < BATCHES_MAX; ++*ret_n) {
        if (!s->buffers[*ret_n])
            s->buffers[*ret_n] = malloc(SPOOL_BATCH_MAX);
        if (!s->buffers[*ret_n]) /* as many as there is memory for */
            return *ret_n ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "batch");
        struct spool_batch *b = &ret[*ret_n];
        enum errc rc = spool_reader_next(&s->reader, s->buffers[*ret_n], at, end, b, &any, e);
        if (rc || !any)
            return *ret_n ? ERRC_OK : rc;
        at = b->next;
        if (b->records.n && b->records.n < FULL) {
            ++*ret_n;
            return ERRC_OK;
        }
    }
    return ERRC_OK;
}

static enum step ship_next(struct ship *s)
{
    struct spool_batch b[BATCHES_MAX];
    struct spool_place cursor, at = s->at;
    size_t n, bytes = 0;
    unsigned records = 0;
    enum step step;
    struct err e;

    if (read_batches(s, b, &n, &e))
        return failed(s, &e);
    if (!n) {
        forget_buffers(s, 1);
        return STEP_IDLE;
    }
    note_oldest(s, &b[0]);
    for (size_t i = 0; i < n; i++) {
        bytes += b[i].records.n;
        records += b[i].n;
    }
    s->not_before_ns = clock_mono_ns() + (bytes < FULL ? clock_ms(PACE_MS) : 0);
    if (!send(s, b, n, &cursor, &step))
        return step;
    if (spool_place_cmp(cursor, at) < 0) { /* its database lost what it had taken: ask, go there */
        back_off(s);
        return STEP_ON;
    }
    if (spool_place_cmp(cursor, at) == 0 || spool_place_cmp(cursor, spool_synced(s->spool)) > 0) {
        (void)err_set(&e, ERRC_PROTO, 0, "it did not take a batch");
        return failed(s, &e);
    }
    if (spool_place_cmp(cursor, b[n - 1].next) == 0)
        pod_metric_add(s->shared, POD_SHIPPED, records);
    for (size_t i = 0; i < n; at = b[i++].next)
        note_gap(s, at, &b[i]);
    set_cursor(s, cursor);
    return STEP_ON;
}

/* ---- the thread ---- */

static bool enter_session(struct ship *s)
{
    if (way_enter(&s->way, &s->used)) {
        s->is_known = s->is_refused = false;
        s->not_before_ns = 0;
    }
    return s->used.plane && !s->is_refused;
}

static enum step turn(struct ship *s, uint64_t now_ns)
{
    struct err e;

    if (!s->buffers[0] && !(s->buffers[0] = malloc(SPOOL_BATCH_MAX)))
        return STEP_IDLE;
    if (!s->has_reader && spool_reader_init(&s->reader, spool_dir(s->spool), &e))
        return failed(s, &e);
    s->has_reader = true;
    look(s, now_ns);
    if (!enter_session(s))
        return STEP_IDLE;
    if (now_ns < s->not_before_ns)
        return STEP_ON;
    return s->is_known ? ship_next(s) : ask_cursor(s);
}

static struct timespec at_ns(uint64_t ns)
{
    return (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
}

/* Until there is news, or what was put off is due. False: it ends. */
static bool wait(struct ship *s, enum step step)
{
    uint64_t until_ns = clock_mono_ns() + clock_ms(LOOK_MS);
    struct way *w = &s->way;

    (void)pthread_mutex_lock(&w->lock);
    if (step == STEP_ON)
        until_ns = MIN(until_ns, s->not_before_ns);
    struct timespec until = at_ns(until_ns);
    s->is_done = step == STEP_IDLE;
    /* put off, it is only woken by another session */
    while (!w->is_stopped && (step == STEP_IDLE ? !w->has_news : w->now.serial == s->used.serial) &&
           clock_mono_ns() < until_ns)
        if (pthread_cond_timedwait(&w->woken, &w->lock, &until) != 0)
            break;
    w->has_news = s->is_done = false;
    bool goes_on = !w->is_stopped;
    (void)pthread_mutex_unlock(&w->lock);
    return goes_on;
}

static void *run(void *arg)
{
    struct ship *s = arg;
    enum step step = STEP_IDLE;

    (void)prctl(PR_SET_NAME, "weir-ship", 0, 0, 0);
    while (wait(s, step)) {
        (void)pthread_mutex_lock(&s->way.lock);
        bool has_spool = s->spool != NULL;
        (void)pthread_mutex_unlock(&s->way.lock);
        step = has_spool ? turn(s, clock_mono_ns()) : STEP_IDLE;
    }
    return NULL;
}

void ship_on_synced(void *ship)
{
    struct ship *s = ship;

    way_wake(&s->way);
}

void ship_spool(struct ship *s, struct spool *spool)
{
    (void)pthread_mutex_lock(&s->way.lock);
    s->spool = spool;
    (void)pthread_mutex_unlock(&s->way.lock);
    way_wake(&s->way);
}

void ship_session(struct ship *s, struct plane *plane, const unsigned char *name, size_t n)
{
    way_give(&s->way, plane, name, n);
}

enum errc ship_start(struct ship *s, struct err *e)
{
    int rc = s->has_thread ? 0 : pthread_create(&s->thread, NULL, run, s);

    if (rc)
        return err_set(e, ERRC_SYS, rc, "thread that ships usage");
    s->has_thread = true;
    return ERRC_OK;
}

bool ship_is_done(struct ship *s)
{
    (void)pthread_mutex_lock(&s->way.lock);
    bool is_done = !s->way.now.plane || (s->is_done && !s->way.has_news);
    struct spool *spool = s->spool;
    (void)pthread_mutex_unlock(&s->way.lock);
    return is_done && (!spool || spool_is_synced(spool));
}

struct ship *ship_new(struct shared *shared)
{
    struct ship *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->shared = shared;
    arena_init(&s->arena, NULL, REPLY_ARENA);
    way_init(&s->way);
    return s;
}

void ship_stop(struct ship *s)
{
    way_stop(&s->way);
    if (s->has_thread)
        (void)pthread_join(s->thread, NULL);
    s->has_thread = false;
}

struct ship *ship_free(struct ship *s)
{
    if (!s)
        return NULL;
    ASSERT(!s->has_thread);
    spool_reader_deinit(&s->reader);
    forget_buffers(s, 0);
    arena_reset(&s->arena);
    way_deinit(&s->way);
    free(s);
    return NULL;
}
