#include "manager/identities.h"

#include <unistd.h>

#include "common/log.h"

/* Puts *take_fd at *to, and what was there is closed. */
static void replace_fd(int *to, int *take_fd)
{
    if (*to >= 0)
        close(*to);
    *to = *take_fd;
    *take_fd = -1;
}

bool identities_take(struct identities_in_force *i, const struct control_msg *m, int fd,
                     struct child *link)
{
    if (fd < 0) {
        log_error("identities_lost", "n=%llu", (unsigned long long)m->n);
        return false;
    }
    if (m->type == CONTROL_BASE) {
        replace_fd(&i->next_base_fd, &fd);
        i->next_base_n = m->n;
        return false;
    }
    if (i->next_base_fd >= 0) {
        replace_fd(&i->base_fd, &i->next_base_fd);
        i->base_n = i->next_base_n;
    }
    replace_fd(&i->overlay_fd, &fd);
    i->overlay_n = m->n;
    link->base_n = i->base_n; /* they are its own */
    link->overlay_n = i->overlay_n;
    return true;
}

void identities_give(const struct identities_in_force *i, struct child *c)
{
    struct control_msg base = {.type = CONTROL_BASE, .n = i->base_n};
    struct control_msg overlay = {.type = CONTROL_OVERLAY, .n = i->overlay_n};
    struct err e;

    if (c->control < 0 || i->overlay_fd < 0 || c->overlay_n == i->overlay_n)
        return;
    if (c->base_n != i->base_n) {
        if (control_send(c->control, &base, i->base_fd, &e))
            return;
        c->base_n = i->base_n;
    }
    if (!control_send(c->control, &overlay, i->overlay_fd, &e))
        c->overlay_n = i->overlay_n;
}
