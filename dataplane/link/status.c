/* What a control plane is told of this pod. */

#include <fcntl.h>
#include <unistd.h>

#include "common/num.h"

#include "link/session_priv.h"

/* Bytes of memory a process holds; 0 when it is gone. */
static uint64_t resident_of(pid_t pid)
{
    char path[64], text[128];
    struct str all, pages, rest;
    uint64_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, text, sizeof text);
    close(fd);
    all = (struct str){text, got > 0 ? (size_t)got : 0};
    if (!str_cut(all, ' ', &pages, &rest))
        return 0;
    (void)str_cut(rest, ' ', &pages, &rest); /* the second: resident */
    return num_u64(pages, &n) ? n * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t requests_of(const struct region *r)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < REGION_ROUTES; i++)
        for (unsigned k = 0; k < STATUS_CLASSES; k++)
            n += counter_get(&r->requests[i][k]);
    return n;
}

void status_fill(Weir__Status *st, Weir__Revision *have, struct session *s)
{
    const struct shared *sh = s->o.shared;
    struct directory_revision r = directory_revision(s->directory);

    weir__status__init(st);
    weir__revision__init(have);
    have->epoch = r.epoch;
    have->n = r.n;
    st->have = have;
    st->workers = (uint32_t)counter_get(&sh->header->metric[POD_WORKERS]);
    st->spool_bytes = counter_get(&sh->header->metric[POD_SPOOL_BYTES]);
    st->unshipped_bytes = counter_get(&sh->header->metric[POD_UNSHIPPED_BYTES]);
    st->unshipped_ms = counter_get(&sh->header->metric[POD_UNSHIPPED_MS]);
    st->spool_full = counter_get(&sh->header->metric[POD_SPOOL_FULL]) != 0;
    st->entities = directory_count(s->directory);
    st->resident_bytes = resident_of(getpid()) + resident_of(getppid());
    for (unsigned i = 0; i < shared_regions(sh); i++) {
        const struct region *g = shared_region(sh, i);
        st->requests += requests_of(g);
        if (g->state != REGION_HELD)
            continue;
        st->in_flight += counter_get(&g->metric[METRIC_IN_FLIGHT]);
        st->resident_bytes += g->pid ? resident_of((pid_t)g->pid) : 0;
    }
    (void)pthread_mutex_lock(&s->lock);
    st->draining = s->news.is_draining;
    (void)snprintf(s->status_error, sizeof s->status_error, "%s",
                   s->error[0] ? s->error : s->news.error);
    (void)pthread_mutex_unlock(&s->lock);
    st->error = s->status_error;
}
