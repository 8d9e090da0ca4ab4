#include "publish/pages.h"

#include <pthread.h>
#include <sys/prctl.h>

#include "common/clock.h"
#include "common/log.h"

#include "publish/changes.h"

enum {
    QUEUE_MAX = 1024,
    DEADLINE_MS = 10000, /* of one page */
    ARENA_MAX = 256 * 1024 * 1024,
};

struct job {
    struct job *next;
    struct hub_job of; /* its keys lie behind it */
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
    struct wire wire; /* of the thread */
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

/* What changed since, when it fits one page; false: everything is better. */
static bool delta(struct pages *p, struct tx *tx, const struct hub_job *j, struct packed *out)
{
    struct changes c = changes_between(tx, p->o.catalog, j->have, j->revision);

    return c.is_complete && entities_touched(p->o.entities, tx, c.rows, c.n, out) &&
           out->n <= ENTITIES_PAGE;
}

static struct str page(struct pages *p, struct tx *tx, struct hub_job *j)
{
    struct packed out = {0};
    char bytes[CURSOR_MAX];
    struct str cursor = {0};
    bool is_delta = j->is_delta && delta(p, tx, j, &out), is_last = is_delta;

    if (!is_delta) {
        packed_deinit(&out);
        is_last = entities_page(p->o.entities, tx, &j->place, &out);
    }
    if (!is_last)
        cursor = cursor_of_place(bytes, j->revision, &j->place);
    struct str reply = {0};
    if (tx_ok(tx) && !out.failed && arena_ok(tx->arena) && (is_last || cursor.n)) {
        wire_changes_begin(&p->wire, j->revision, !is_delta);
        wire_put(&p->wire, (struct str){out.p, out.n});
        reply = wire_changes_end(&p->wire, cursor);
    }
    packed_deinit(&out);
    if (reply.n)
        return reply;
    if (tx->fault != DB_AWAY)
        log_error("page", "fault=%s what=\"%s\" consequence=\"asked again\"",
                  db_fault_name(tx->fault), tx->err.msg);
    return wire_refusal(&p->wire, WEIR__REFUSAL__WHY__AWAY, "the database cannot be asked now");
}

static void answer(struct pages *p, struct job *j)
{
    struct db_wait w = {.deadline_ns = clock_mono_ns() + DEADLINE_MS * UINT64_C(1000000),
                        .wake_fd = -1};
    struct arena arena;
    struct tx tx;

    arena_init(&arena, NULL, ARENA_MAX);
    tx_init(&tx, p->o.db, &arena, &w);
    hub_job_done(p->o.hub, j->of.to, j->of.session, page(p, &tx, &j->of));
    tx_end(&tx);
    arena_reset(&arena);
}

static void *thread_main(void *arg)
{
    struct pages *p = arg;
    struct job *j;

    (void)prctl(PR_SET_NAME, "weir-pages", 0, 0, 0);
    while ((j = take(p))) {
        answer(p, j);
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
        hub_job_done(p->o.hub, j->of.to, j->of.session, (struct str){0});
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
    (void)pthread_cond_destroy(&p->pushed);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
    return NULL;
}
