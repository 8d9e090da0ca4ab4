/* What was applied goes to the manager as sealed files, and through it to the workers. */

#include <errno.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#include "link/session_priv.h"
#include "snapshot/identity.h"

enum {
    PUBLISH_MS = 500, /* a manager that does not read */
    ADOPT_MS = 500,   /* the workers have this long */
    LOOK_MS = 1,      /* between looks at them */
};

static enum errc hand_on(struct session *s, enum control_type type, int *take_fd, struct err *e)
{
    struct identity_header h;
    enum errc rc = ERRC_OK;

    if (*take_fd < 0)
        return ERRC_OK;
    if (pread(*take_fd, &h, sizeof h, 0) != (ssize_t)sizeof h)
        return err_set(e, ERRC_SYS, errno, "read a sealed file");
    for (unsigned waited = 0; waited < PUBLISH_MS; waited += 10) {
        rc = s->o.publish(s->o.ctx, type, h.n, *take_fd, e);
        if (rc != ERRC_LIMIT || !plane_sleep(s->plane, 10))
            break;
    }
    if (rc == ERRC_CLOSED) /* no manager: nobody is there to take it */
        rc = ERRC_OK;
    if (!rc) {
        close(*take_fd);
        *take_fd = -1;
    }
    return rc;
}

enum errc session_publish(struct session *s, struct directory_revision r, struct err *e)
{
    int base = -1, overlay = -1;
    enum errc rc = directory_seal(s->directory, r, &base, &overlay, e);

    if (rc)
        return rc;
    if (base >= 0) {
        if (s->base >= 0)
            close(s->base);
        s->base = base;
    }
    if (overlay >= 0) {
        if (s->overlay >= 0)
            close(s->overlay);
        s->overlay = overlay;
        s->is_dirty = true;
    }
    rc = hand_on(s, CONTROL_BASE, &s->base, e);
    return rc ? rc : hand_on(s, CONTROL_OVERLAY, &s->overlay, e);
}

/* Whether each worker that serves does so with these. One that is starting will. */
static bool is_adopted(const struct session *s, uint64_t identity, uint64_t generation)
{
    const struct shared *sh = s->o.shared;

    for (unsigned i = 0; i < shared_regions(sh); i++) {
        const struct region *r = shared_region(sh, i);
        if (r->state == REGION_HELD && r->heartbeat_ns &&
            (r->identity < identity || r->generation < generation))
            return false;
    }
    return true;
}

/* The generation that has the documents; 0: none is needed. False: it is not built yet. */
static bool generation_of(struct session *s, uint64_t *ret)
{
    (void)pthread_mutex_lock(&s->lock);
    bool is_built = s->news.version == s->documents;
    *ret = is_built ? s->news.generation : 0;
    (void)pthread_mutex_unlock(&s->lock);
    return is_built;
}

void session_await_workers(struct session *s, bool has_documents)
{
    uint64_t until_ns = clock_mono_ns() + ADOPT_MS * UINT64_C(1000000), generation = 0;

    for (;;) {
        bool is_built = !has_documents || generation_of(s, &generation);
        if (is_built && is_adopted(s, directory_n(s->directory), generation))
            return;
        if (clock_mono_ns() >= until_ns || !plane_sleep(s->plane, LOOK_MS))
            break;
    }
    if (plane_is_stopped(s->plane))
        return;
    (void)snprintf(s->error, sizeof s->error, "some workers do not serve with revision %llu yet",
                   (unsigned long long)directory_revision(s->directory).n);
    log_warn("adoption_late", "revision=%llu consequence=\"acknowledged all the same\"",
             (unsigned long long)directory_revision(s->directory).n);
}
