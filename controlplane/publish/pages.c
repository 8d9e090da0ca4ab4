#include "publish/pages.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/log.h"

#include "publish/changes.h"

enum {
    QUEUE_MAX = 1024,
    READY_MAX = 4, /* pages kept: many data planes that start together ask for the same ones */
    DEADLINE_MS = 10000, /* of one page */
    ARENA_MAX = 256 * 1024 * 1024,
};

struct job {
    struct job *next;
    struct hub_job of; /* its keys lie behind it */
};

/*
 * A page of everything that was read already, before or because somebody will ask for it. It holds
 * whenever it is asked for: what changed since comes as a change.
 */
struct ready {
    struct revision revision;
    struct entities_place from, next; /* their keys lie in `keys` */
    char keys[2 * CURSOR_MAX];
    bool is_last;
    struct packed entities;
    uint64_t used; /* the larger, the later */
};

struct pages {
    struct pages_options o;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* of the queue */
    pthread_cond_t pushed;
    struct job *first, **last;
    unsigned n;
    bool ending;
    /* of the thread */
    struct wire wire;
    struct ready ready[READY_MAX];
    uint64_t clock;
};

bool pages_push(struct pages *p, const struct hub_job *of)
{
    struct job *j = malloc(sizeof *j + of->place.key1.n + of->place.key2.n);
    char *keys = (char *)(j + 1);

    if (!j)
        return false;
    *j = (struct job){.of = *of};
    if (of->place.key1.n)
        memcpy(keys, of->place.key1.p, of->place.key1.n);
    j->of.place.key1.p = keys;
    if (of->place.key2.n)
        memcpy(keys + of->place.key1.n, of->place.key2.p, of->place.key2.n);
    j->of.place.key2.p = keys + of->place.key1.n;
    (void)pthread_mutex_lock(&p->lock);
    bool fits = p->n < QUEUE_MAX && !p->ending;
    if (fits) {
        *p->last = j;
        p->last = &j->next;
        p->n++;
        (void)pthread_cond_signal(&p->pushed);
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (!fits)
        free(j);
    return fits;
}

/* NULL: it ends. */
static struct job *take(struct pages *p)
{
    (void)pthread_mutex_lock(&p->lock);
    while (!p->first && !p->ending)
        (void)pthread_cond_wait(&p->pushed, &p->lock);
    struct job *j = p->ending ? NULL : p->first;
    if (j) {
        p->first = j->next;
        if (!p->first)
            p->last = &p->first;
        p->n--;
    }
    (void)pthread_mutex_unlock(&p->lock);
    return j;
}

/* ---- pages of everything ---- */

static bool place_eq(const struct entities_place *a, const struct entities_place *b)
{
    return a->kind == b->kind && str_eq(a->key1, b->key1) && str_eq(a->key2, b->key2);
}

/* A copy with its keys at *p, which moves on; false: they are too long. */
static bool place_copy(struct entities_place *to, const struct entities_place *from, char **p,
                       const char *end)
{
    *to = *from;
    if (from->key1.n + from->key2.n > (size_t)(end - *p))
        return false;
    for (int i = 0; i < 2; i++) {
        struct str *key = i ? &to->key2 : &to->key1;
        if (key->n)
            memcpy(*p, key->p, key->n);
        key->p = *p;
        *p += key->n;
    }
    return true;
}

/* The page from there on, read unless it is ready. NULL: a fault, or without memory. */
static struct ready *page_from(struct pages *p, struct revision r,
                               const struct entities_place *from)
{
    struct ready *at = &p->ready[0];
    struct db_wait w = {.deadline_ns = clock_mono_ns() + DEADLINE_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct entities_place next;
    struct arena arena;
    struct tx tx;

    for (size_t i = 0; i < READY_MAX; i++) {
        struct ready *one = &p->ready[i];
        bool is_same = one->used && one->revision.epoch == r.epoch && one->revision.n == r.n;
        if (is_same && place_eq(&one->from, from)) {
            one->used = ++p->clock;
            return one;
        }
        if (one->used < at->used)
            at = one;
    }
    at->used = 0;
    at->entities.n = at->entities.count = 0;
    char *keys = at->keys;
    if (!place_copy(&at->from, from, &keys, at->keys + sizeof at->keys))
        return NULL;
    arena_init(&arena, NULL, ARENA_MAX);
    tx_init(&tx, p->o.db, &arena, &w);
    next = at->from;
    at->revision = r;
    at->is_last = entities_page(p->o.entities, &tx, &next, &at->entities);
    bool ok = tx_ok(&tx) && !at->entities.failed && arena_ok(&arena) &&
              place_copy(&at->next, &next, &keys, at->keys + sizeof at->keys);
    if (!ok && tx.fault != DB_AWAY)
        log_error("page", "fault=%s what=\"%s\" consequence=\"asked again\"",
                  db_fault_name(tx.fault), tx.err.msg);
    tx_end(&tx);
    arena_reset(&arena);
    if (!ok) {
        packed_deinit(&at->entities);
        return NULL;
    }
    at->used = ++p->clock;
    return at;
}

static struct str changes(struct pages *p, struct revision now, bool full,
                          const struct packed *entities, struct str cursor)
{
    wire_changes_begin(&p->wire, now, full);
    wire_put(&p->wire, (struct str){entities->p, entities->n});
    return wire_changes_end(&p->wire, cursor);
}

/* Empty: a fault. What follows is read when nobody waits. */
static struct str page(struct pages *p, const struct hub_job *j, struct ready **ret_page)
{
    struct ready *at = page_from(p, j->revision, &j->place);
    char bytes[CURSOR_MAX];
    struct str cursor = {0};

    if (!at)
        return (struct str){0};
    if (!at->is_last)
        cursor = cursor_of_place(bytes, j->revision, &at->next);
    if (!at->is_last && !cursor.n)
        return (struct str){0};
    *ret_page = at;
    return changes(p, j->revision, true, &at->entities, cursor);
}

/* ---- what changed since ---- */

/* Empty: it does not fit one page, is forgotten, or a fault: everything is better. */
static struct str delta(struct pages *p, const struct hub_job *j)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + DEADLINE_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct packed out = {0};
    struct str reply = {0};
    struct arena arena;
    struct tx tx;

    arena_init(&arena, NULL, ARENA_MAX);
    tx_init(&tx, p->o.db, &arena, &w);
    struct changes c = changes_between(&tx, j->have, j->revision);
    bool ok = c.is_complete && entities_touched(p->o.entities, &tx, c.rows, c.n, &out);
    if (ok && tx_ok(&tx) && !out.failed && arena_ok(&arena) && out.n <= ENTITIES_PAGE)
        reply = changes(p, j->revision, false, &out, (struct str){0});
    packed_deinit(&out);
    tx_end(&tx);
    arena_reset(&arena);
    return reply;
}

/* ---- the thread ---- */

static bool is_idle(struct pages *p)
{
    (void)pthread_mutex_lock(&p->lock);
    bool idle = !p->first && !p->ending;
    (void)pthread_mutex_unlock(&p->lock);
    return idle;
}

static void answer(struct pages *p, const struct hub_job *j)
{
    struct str reply = j->is_delta ? delta(p, j) : (struct str){0};
    struct ready *sent = NULL;

    if (!reply.n)
        reply = page(p, j, &sent);
    if (!reply.n)
        reply =
            wire_refusal(&p->wire, WEIR__REFUSAL__WHY__AWAY, "the database cannot be asked now");
    hub_done(p->o.hub, HUB_PAGE, j->to, j->session, reply);
    if (sent && !sent->is_last && is_idle(p)) {
        struct entities_place next = sent->next;
        (void)page_from(p, j->revision, &next); /* it will be asked for */
    }
}

static void *thread_main(void *arg)
{
    struct pages *p = arg;
    struct job *j;

    (void)prctl(PR_SET_NAME, "weir-pages", 0, 0, 0);
    while ((j = take(p))) {
        answer(p, &j->of);
        free(j);
    }
    return NULL;
}

enum errc pages_new(struct pages **ret_p, const struct pages_options *o, struct err *e)
{
    struct pages *p = calloc(1, sizeof *p);

    if (!p)
        return err_set(e, ERRC_NOMEM, 0, "pages");
    p->o = *o;
    p->last = &p->first;
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->pushed, NULL);
    int rc = pthread_create(&p->thread, NULL, thread_main, p);
    p->has_thread = !rc;
    if (rc) {
        pages_free(p);
        return err_set(e, ERRC_SYS, rc, "pages: thread");
    }
    *ret_p = p;
    return ERRC_OK;
}

void pages_stop(struct pages *p)
{
    struct job *next;

    if (!p || !p->has_thread)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->ending = true;
    (void)pthread_cond_broadcast(&p->pushed);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    p->has_thread = false;
    for (struct job *j = p->first; j; j = next) {
        next = j->next;
        hub_done(p->o.hub, HUB_PAGE, j->of.to, j->of.session, (struct str){0});
        free(j);
    }
    p->first = NULL;
}

struct pages *pages_free(struct pages *p)
{
    if (!p)
        return NULL;
    pages_stop(p);
    wire_deinit(&p->wire);
    for (size_t i = 0; i < READY_MAX; i++)
        packed_deinit(&p->ready[i].entities);
    (void)pthread_cond_destroy(&p->pushed);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}
