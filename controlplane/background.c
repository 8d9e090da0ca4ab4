#include "background.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/clock.h"

static void *thread_main(void *arg)
{
    struct background *b = arg;

    (void)prctl(PR_SET_NAME, b->name, 0, 0, 0);
    b->run(b->ctx);
    return NULL;
}

enum errc background_start(struct background *b, const char *name, void (*run)(void *ctx),
                           void *ctx, struct err *e)
{
    b->name = name;
    b->run = run;
    b->ctx = ctx;
    b->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int sys = b->wake_fd < 0 ? errno : pthread_create(&b->thread, NULL, thread_main, b);
    b->is_running = !sys;
    if (sys && b->wake_fd >= 0)
        (void)close(b->wake_fd);
    return sys ? err_set(e, ERRC_SYS, sys, "%s: thread", name) : ERRC_OK;
}

void background_end(struct background *b)
{
    uint64_t one = 1;

    if (!b->is_running)
        return;
    atomic_store(&b->ending, true);
    (void)!write(b->wake_fd, &one, sizeof one);
    (void)pthread_join(b->thread, NULL);
    (void)close(b->wake_fd);
    b->is_running = false;
}

void background_pause(const struct background *b, uint64_t ms)
{
    struct pollfd p = {.fd = b->wake_fd, .events = POLLIN};

    (void)poll(&p, 1, (int)MIN(ms, (uint64_t)INT32_MAX));
}

struct db_wait background_wait(const struct background *b, uint64_t ms)
{
    uint64_t now = clock_mono_ns();

    return (struct db_wait){.deadline_ns =
                                ms < (UINT64_MAX - now) / 1000000 ? now + ms * 1000000 : UINT64_MAX,
                            .cancelled = &b->ending,
                            .wake_fd = b->wake_fd};
}
