/*
 * The loop of the link: messages of the manager, then the rings, then the times.
 *
 *   ring -> spool buffer -> write -> ring tail     and beside it -> access line
 *
 * The tail moves only when the records before it are in the file: a link killed in between finds
 * them in the ring again, and knows from the spool's own tail which of them it had written.
 */

#include "link/link.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/proc.h"

#include "link/access.h"
#include "link/builder.h"
#include "link/settle.h"
#include "link/ship.h"
#include "link/spool.h"
#include "link/sums.h"
#include "link/transcript_ship.h"
#include "link/usage_pack.h"
#include "shared/control.h"
#include "shared/counters.h"
#include "shared/region.h"
#include "snapshot/view.h"

enum {
    BUSY_MS = 5, /* fewer, larger writes; half of what the sync waits */
    IDLE_MS = 10,
    RETRY_MS = 100,    /* after a failure of the spool */
    ALARM_MS = 10000,  /* between two alarms of one kind */
    LINGER_MS = 60000, /* without a manager */
    ORPHAN_MS = 1000,  /* between looks at who is left */
    FLUSH_MS = 5000,   /* for the rest, without a manager to say */
    SHIP_MS = 3000,    /* draining: for the control plane to take the rest */
    ALARM_PERCENT = 80,
    QUIET_MS = 10000, /* without a record: the memory of buffers is given back */
};

struct region_reader {
    uint64_t at;       /* position of the next record; beyond the tail by what is not yet written */
    uint64_t next_seq; /* records before it are in the spool since before this link */
};

struct link {
    const char *config;
    struct shared shared;
    struct counters counters;
    struct region_reader *readers; /* one per region of the mapping */
    bool has_manager, lingers, draining;
    uint64_t deadline_ns; /* without a manager: drain; draining: end */
    uint64_t orphans_ns;  /* when to look who is left */

    struct builder *builder; /* generations, and the session with a control plane */

    struct access *access;
    struct ship *ship;
    struct transcripts rings;
    struct transcript_ship *transcripts;
    struct spool *spool;                      /* NULL: cannot be opened yet */
    uint64_t retry_ns;                        /* the spool failed: not before */
    uint64_t alarm_spool_ns, alarm_access_ns; /* the next alarm, not before */
    struct spool_totals told;                 /* of the spool, as far as reported */
    uint64_t told_dropped;                    /* access lines, likewise */
    bool failing;                             /* the spool, since the last success */
    struct sums *sums;                        /* what it did not take; NULL: nothing */
    uint64_t unsummed;                        /* records lost for want of memory */
    uint64_t alarm_full_ns;                   /* the next alarm of its cap, not before */
    uint64_t shipped_until_ns;                /* draining: how long it may take; 0: not begun */
    bool stalled;                             /* the spool does not take the next record */
    uint64_t quiet_ns;                        /* when it will have been quiet; 0: trimmed since */
};

static volatile sig_atomic_t term_requested;

static void on_term(int signal)
{
    (void)signal;
    term_requested = 1;
}

/* True once per interval. */
static bool may_alarm(uint64_t *next_ns)
{
    uint64_t now_ns = clock_mono_ns();

    if (now_ns < *next_ns)
        return false;
    *next_ns = now_ns + clock_ms(ALARM_MS);
    return true;
}

static void tell(struct link *l, enum control_type type, uint64_t n, const char *text, int fd)
{
    struct control_msg msg = {.type = type, .n = n};
    struct err e;

    if (!l->has_manager)
        return;
    (void)snprintf(msg.text, sizeof msg.text, "%s", text);
    enum errc rc = control_send(CONTROL_FD, &msg, fd, &e);
    if (rc && rc != ERRC_CLOSED) /* its end shows in the loop */
        log_warn("message_not_sent", "type=%d error=\"%s\"", type, e.msg);
}

/* --- records --------------------------------------------------------------------------------- */

static void on_spooled_before(void *ctx, const struct spool_entry *en)
{
    struct link *l = ctx;

    if (en->id.epoch == l->shared.header->epoch && en->id.region < l->shared.capacity) {
        struct region_reader *rr = &l->readers[en->id.region];
        rr->next_seq = MAX(rr->next_seq, en->id.seq + 1);
    }
}

/* The spool does not work: the records wait in the rings. */
static void spool_failed(struct link *l, const struct err *e)
{
    l->stalled = true;
    l->failing = true;
    l->retry_ns = clock_mono_ns() + clock_ms(RETRY_MS);
    pod_metric_add(&l->shared, POD_SPOOL_FAILURES, 1);
    pod_metric_set(&l->shared, POD_SPOOL_FULL, 1);
    if (may_alarm(&l->alarm_spool_ns))
        log_error("spool_failed", "error=\"%s\" consequence=\"records wait in memory\"", e->msg);
}

static void open_spool(struct link *l)
{
    const char *state_dir = getenv("WEIR_STATE_DIR");
    char dir[512];
    struct spool_options o = {.dir = dir, .synced = ship_on_synced, .synced_ctx = l->ship};
    struct err e;

    (void)snprintf(dir, sizeof dir, "%s/spool", state_dir ? state_dir : "."); /* cut: refused */
    enum errc rc = spool_open(&l->spool, &o, on_spooled_before, l, &e);
    if (rc == ERRC_LIMIT && !l->draining) { /* the link before us is still writing the rest */
        l->retry_ns = clock_mono_ns() + clock_ms(RETRY_MS);
        return;
    }
    if (rc) {
        spool_failed(l, &e);
        return;
    }
    ship_spool(l->ship, l->spool);
    struct spool_totals t = l->told = spool_totals(l->spool);
    if (t.torn_bytes)
        log_warn("spool_repaired", "torn_bytes=%llu", (unsigned long long)t.torn_bytes);
    if (t.bad_records)
        log_error("spool_damaged", "places=%llu consequence=\"skipped\"",
                  (unsigned long long)t.bad_records);
    for (unsigned i = 0; i < l->shared.capacity; i++)
        l->readers[i].at = UINT64_MAX; /* another link has moved the tails meanwhile */
}

static void release(struct link *l)
{
    for (unsigned i = 0; i < shared_regions(&l->shared); i++) {
        struct region *r = shared_region(&l->shared, i);
        if (l->readers[i].at != UINT64_MAX && l->readers[i].at != r->ring_tail)
            ring_release(r, l->readers[i].at);
    }
}

/* It works again: what was added up meanwhile is written first. False: it does not. */
static bool recover(struct link *l)
{
    size_t n = l->sums ? sums_count(l->sums) : 0;
    struct err e;

    if (l->sums && sums_write(l->sums, l->spool, l->shared.header->epoch, &e)) {
        spool_failed(l, &e);
        return false;
    }
    l->sums = sums_free(l->sums);
    log_info("spool_works", "sums=%zu consequence=\"waiting records written\"", n);
    l->failing = false;
    pod_metric_set(&l->shared, POD_SPOOL_FULL, 0);
    return true;
}

/* Writes what is buffered and frees the rings of it. */
static bool flush(struct link *l)
{
    struct err e;

    if (spool_flush(l->spool, &e)) {
        spool_failed(l, &e);
        return false;
    }
    release(l);
    return !l->failing || recover(l);
}

/* Takes one record; false when the spool has no room for it now. */
static bool take(struct link *l, unsigned region, const struct record *rec)
{
    if (rec->flags & RECORD_SPOOL && rec->seq >= l->readers[region].next_seq) {
        unsigned char *body = spool_begin(l->spool);
        if (!body && !flush(l))
            return false;
        if (!body)
            body = spool_begin(l->spool);
        struct spool_id id = {l->shared.header->epoch, region, rec->seq};
        spool_end(l->spool, &id, SPOOL_USAGE, usage_pack(body, rec, 0));
        pod_metric_add(&l->shared, POD_SPOOLED, 1);
    }
    if (rec->flags & RECORD_ACCESS)
        access_add(l->access, rec);
    return true;
}

typedef bool (*put_fn)(struct link *l, unsigned region, const struct record *rec);

/* Reads a ring to its end, or to where put() has no room. Returns whether there was anything. */
static bool read_ring(struct link *l, unsigned i, put_fn put)
{
    struct region *r = shared_region(&l->shared, i);
    struct region_reader *rr = &l->readers[i];
    union {
        struct record record;
        char bytes[RECORD_MAX];
    } u;
    uint64_t next;
    bool any = false;

    if (rr->at == UINT64_MAX)
        rr->at = r->ring_tail;
    for (;;) {
        switch (ring_peek(r, rr->at, &u.record, &next)) {
        case RING_EMPTY:
            rr->at = next;
            return any;
        case RING_BROKEN:
            log_error("ring_broken", "region=%u lost_bytes=%llu", i,
                      (unsigned long long)(next - rr->at));
            pod_metric_add(&l->shared, POD_RINGS_BROKEN, 1);
            break;
        case RING_RECORD:
            if (!put(l, i, &u.record)) {
                l->stalled = true;
                return any;
            }
            break;
        }
        rr->at = next;
        any = true;
    }
}

/* ---- without the spool ---- */

static bool sum(struct link *l, unsigned region, const struct record *rec)
{
    if (rec->flags & RECORD_SPOOL && rec->seq >= l->readers[region].next_seq) {
        if (!l->sums)
            l->sums = sums_new();
        if (l->sums && sums_add(l->sums, rec))
            pod_metric_add(&l->shared, POD_SUMMED, 1);
        else
            l->unsummed++;
    }
    if (rec->flags & RECORD_ACCESS)
        access_add(l->access, rec);
    return true;
}

/* A ring that fills while the spool fails is added up in memory, so that who has no budget goes on.
 * Less stays whole in the ring. */
static void sum_ring(struct link *l, unsigned i)
{
    struct region *r = shared_region(&l->shared, i);

    if (ring_free(r) > REGION_RING / 2)
        return;
    (void)read_ring(l, i, sum);
    ring_release(r, l->readers[i].at);
}

static void sum_rings(struct link *l)
{
    for (unsigned i = 0; l->failing && i < shared_regions(&l->shared); i++)
        sum_ring(l, i);
}

/* Frees a dead region once nothing of its worker is left. */
static void bury(struct link *l, unsigned i)
{
    struct region *r = shared_region(&l->shared, i);
    uint64_t settled = 0;
    bool all = region_settle(r, builder_snapshot(l->builder), &l->counters, &settled);

    if (settled) {
        log_warn("exchanges_settled", "region=%u records=%llu", i, (unsigned long long)settled);
        pod_metric_add(&l->shared, POD_SETTLED, settled);
    }
    if (!all || r->ring_tail != r->ring_head)
        return; /* drained first, next time around */
    region_reset_gauges(r);
    r->inflight_high = 0;
    atomic_store_explicit(&r->state, REGION_FREE, memory_order_release);
    tell(l, CONTROL_REGION_FREE, i, "", -1);
}

/* Counters and alarms of what happened in the spool and in the access log. */
static void report(struct link *l)
{
    struct spool_totals t = spool_totals(l->spool);
    uint64_t dropped = access_dropped(l->access);
    int sys;

    pod_metric_add(&l->shared, POD_SPOOL_CUT, t.cut_segments - l->told.cut_segments);
    pod_metric_add(&l->shared, POD_SPOOL_FAILURES, t.sync_failures - l->told.sync_failures);
    pod_metric_add(&l->shared, POD_ACCESS_DROPPED, dropped - l->told_dropped);
    if (t.cut_segments != l->told.cut_segments)
        log_warn("spool_cut", "segments=%llu consequence=\"oldest usage records deleted\"",
                 (unsigned long long)(t.cut_segments - l->told.cut_segments));
    if (t.sync_failures != l->told.sync_failures && may_alarm(&l->alarm_spool_ns))
        log_error("spool_sync_failed", "consequence=\"not safe from a failing machine\"");
    if (access_failed(l->access, &sys) && may_alarm(&l->alarm_access_ns))
        log_warn("access_log_failed", "error=\"%s\" consequence=\"lines dropped\"", strerror(sys));
    l->told = t;
    l->told_dropped = dropped;
}

/* After some quiet a burst leaves nothing behind. */
static void trim(struct link *l, bool any, uint64_t now_ns)
{
    if (any) {
        l->quiet_ns = now_ns + clock_ms(QUIET_MS);
    } else if (l->quiet_ns && now_ns >= l->quiet_ns) {
        l->quiet_ns = 0;
        spool_trim(l->spool);
        access_trim(l->access);
        (void)malloc_trim(0);
    }
}

/* The cap as configured, and what it means; whole segments that were taken go. */
static void limit_spool(struct link *l)
{
    const struct snapshot *snap = builder_snapshot(l->builder);
    bool keeps = builder_has_plane(l->builder);

    spool_limit(l->spool, snap ? snap->h->settings.spool_max_bytes : 0, keeps);
    spool_release(l->spool);
    uint64_t bytes = spool_totals(l->spool).bytes, max = spool_max(l->spool);
    pod_metric_set(&l->shared, POD_SPOOL_BYTES, bytes);
    if (keeps && bytes > max / 100 * ALARM_PERCENT && may_alarm(&l->alarm_full_ns))
        log_error(
            "spool_nearly_full",
            "bytes=%llu cap=%llu consequence=\"then usage is summed up and keys with a budget "
            "are refused\"",
            (unsigned long long)bytes, (unsigned long long)max);
}

/* Once around the rings; returns whether there was anything. */
static bool carry(struct link *l, uint64_t now_ns)
{
    bool any = false;

    if (now_ns < l->retry_ns)
        return false;
    l->stalled = false;
    if (!l->spool)
        open_spool(l);
    if (!l->spool) {
        sum_rings(l);
        return false;
    }
    limit_spool(l);
    for (unsigned i = 0; i < shared_regions(&l->shared) && !l->stalled; i++) {
        struct region *r = shared_region(&l->shared, i);
        any |= read_ring(l, i, take);
        if (r->state == REGION_DEAD)
            bury(l, i);
    }
    if (!l->stalled && flush(l) && any)
        report(l);
    if (l->stalled)
        sum_rings(l);
    access_tick(l->access, now_ns);
    trim(l, any, now_ns);
    return any;
}

/* --- the end --------------------------------------------------------------------------------- */

static bool is_settled(const struct link *l)
{
    return l->spool && !l->stalled && shared_is_settled(&l->shared);
}

/* The disk may go with the pod: what can be delivered is, within a moment. */
static bool is_shipped(struct link *l, uint64_t now_ns)
{
    if (!l->shipped_until_ns)
        l->shipped_until_ns = now_ns + clock_ms(SHIP_MS);
    return (ship_is_done(l->ship) && transcript_ship_is_done(l->transcripts)) ||
           now_ns >= l->shipped_until_ns;
}

/* Nobody reaps the workers of a dead manager: see which are left. */
static void look_for_orphans(struct link *l, uint64_t now_ns)
{
    bool left = false, replaced = l->shared.header->link_pid != (uint32_t)getpid();

    if (now_ns < l->orphans_ns)
        return;
    l->orphans_ns = now_ns + clock_ms(ORPHAN_MS);
    for (unsigned i = 0; i < shared_regions(&l->shared); i++) {
        struct region *r = shared_region(&l->shared, i);
        if (r->state != REGION_HELD)
            continue;
        if (r->pid != 0 && kill((pid_t)r->pid, 0) != 0 && errno == ESRCH)
            r->state = REGION_DEAD;
        else
            left = true;
    }
    if (left && now_ns < l->deadline_ns && !term_requested && !replaced) {
        if (!l->lingers)
            log_warn("manager_gone", "consequence=\"ends after the last worker\"");
        l->lingers = true;
        return;
    }
    l->draining = true;
    l->deadline_ns = replaced ? now_ns : now_ns + clock_ms(FLUSH_MS);
}

static void on_manager_gone(struct link *l)
{
    uint64_t now_ns = clock_mono_ns();
    const struct snapshot *snap = builder_snapshot(l->builder);
    uint32_t drain_ms = snap ? snap->h->settings.drain_ms : 0;

    l->has_manager = false;
    l->orphans_ns = now_ns;
    l->deadline_ns = now_ns + clock_ms(LINGER_MS + drain_ms);
}

static void on_message(struct link *l, const struct control_msg *m, int fd)
{
    switch ((enum control_type)m->type) {
    case CONTROL_RELOAD:
        builder_reload(l->builder);
        break;
    case CONTROL_REOPEN:
        access_reopen(l->access);
        break;
    case CONTROL_DRAIN:
        l->draining = true;
        l->deadline_ns = clock_mono_ns() + clock_ms(m->n);
        builder_drain(l->builder);
        break;
    case CONTROL_GENERATION:
    case CONTROL_BASE:
    case CONTROL_OVERLAY:
        if (fd >= 0)
            builder_in_force(l->builder, (enum control_type)m->type, fd);
        break;
    case CONTROL_WORKER_DIED: /* it woke us; the region says the rest */
    case CONTROL_REFUSED:
    case CONTROL_READY:
    case CONTROL_REGION_FREE:
    case CONTROL_TYPES:
        break;
    }
    if (fd >= 0)
        close(fd);
}

static void read_messages(struct link *l)
{
    struct control_msg m;
    struct err e;
    int fd;

    while (l->has_manager) {
        enum errc rc = control_recv(CONTROL_FD, &m, &fd, &e);
        if (rc == ERRC_TIMEOUT)
            return;
        if (rc)
            on_manager_gone(l);
        else
            on_message(l, &m, fd);
    }
}

static int loop(struct link *l)
{
    bool busy = true;

    for (;;) {
        struct pollfd p[] = {{.fd = l->has_manager ? CONTROL_FD : -1, .events = POLLIN},
                             {.fd = builder_fd(l->builder), .events = POLLIN}};
        (void)poll(p, ARRAY_LEN(p), busy ? BUSY_MS : IDLE_MS); /* a signal only shortens it */
        if (p[0].revents)
            read_messages(l);
        uint64_t now_ns = clock_mono_ns();
        builder_tick(l->builder, now_ns, p[1].revents != 0);
        busy = carry(l, now_ns);
        if (l->has_manager && builder_is_stuck(l->builder, now_ns)) {
            log_error("session_stuck", "consequence=\"the manager starts another link\"");
            _exit(1); /* as killed at any moment: nothing is lost by it */
        }
        if (!l->has_manager && !l->draining)
            look_for_orphans(l, now_ns);
        if (l->draining && is_settled(l) && is_shipped(l, now_ns))
            return 0;
        if (l->draining && now_ns >= l->deadline_ns) {
            if (l->shared.header->link_pid != (uint32_t)getpid())
                return 0; /* the next link goes on from the tails */
            if (is_settled(l))
                return 0;
            log_error("flush_incomplete", "consequence=\"the rest stays in the shared file\"");
            return 1;
        }
    }
}

/* --- start ----------------------------------------------------------------------------------- */

static enum errc start(struct link *l, struct err *e)
{
    struct sigaction term = {.sa_handler = on_term};
    enum errc rc = proc_hide_environment(e);

    if (rc)
        return rc;
    rc = shared_map(&l->shared, SHARED_FD, e);
    if (rc)
        return err_wrap(e, "weir-link is started by weir-dataplane");
    rc = counters_map(&l->counters, COUNTERS_FD, e);
    if (rc)
        return rc;
    l->shared.header->link_pid = (uint32_t)getpid();
    (void)sigaction(SIGTERM, &term, NULL); /* heeded without a manager only */
    l->readers = calloc(l->shared.capacity, sizeof *l->readers);
    if (!l->readers)
        return err_set(e, ERRC_NOMEM, 0, "link");
    rc = access_new(&l->access, e);
    if (rc)
        return rc;
    rc = transcripts_map(&l->rings, TRANSCRIPTS_FD, e);
    if (rc)
        return rc;
    l->ship = ship_new(&l->shared);
    l->transcripts = transcript_ship_new(&l->shared, &l->rings);
    if (!l->ship || !l->transcripts)
        return err_set(e, ERRC_NOMEM, 0, "link");
    const struct builder_options o = {l->config, &l->shared, &l->counters,
                                      l->access, l->ship,    l->transcripts};
    l->builder = builder_new(&o);
    return l->builder ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "link");
}

int link_run(const char *config)
{
    struct link l = {.config = config, .has_manager = true};
    struct err e;

    log_init("link", LOG_INFO);
    (void)prctl(PR_SET_NAME, "weir-link", 0, 0, 0);
    /* its share of a core as before, but it never interrupts a worker; threads inherit it */
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    proc_harden(true); /* as the manager decided */
    if (start(&l, &e)) {
        log_error("start_failed", "error=\"%s\"", e.msg);
        return 1;
    }
    read_messages(&l); /* the generation in force, when another link came before */
    builder_start(l.builder);
    int rc = loop(&l);
    if (l.sums || l.unsummed)
        log_error("usage_lost", "sums=%zu records=%llu consequence=\"not billed\"",
                  l.sums ? sums_count(l.sums) : 0, (unsigned long long)l.unsummed);
    l.sums = sums_free(l.sums);
    l.builder = builder_free(l.builder);
    l.access = access_free(l.access);
    ship_stop(l.ship);
    l.spool = spool_free(l.spool);
    l.ship = ship_free(l.ship);
    l.transcripts = transcript_ship_free(l.transcripts);
    transcripts_unmap(&l.rings);
    free(l.readers);
    counters_unmap(&l.counters);
    shared_unmap(&l.shared);
    return rc;
}
