#pragma once

/* A thread beside the loop: it works, pauses, and works again until it is to end. */

#include <pthread.h>

#include "common/err.h"

#include "store/db.h"

struct background {
    pthread_t thread;
    int wake_fd;
    atomic_bool ending;
    bool is_running;
    const char *name;
    void (*run)(void *ctx);
    void *ctx;
};

/* run(ctx) on a thread named `name` (15 bytes at most), which lasts; it returns soon after
 * background_goes_on() became false. `b` was zeroed, and stays where it is. ERRC_SYS. */
MUST_CHECK enum errc background_start(struct background *b, const char *name,
                                      void (*run)(void *ctx), void *ctx, struct err *e);
/* Ends it, whatever it waits for, and waits for that; nothing where it was not started. */
void background_end(struct background *b);

/* ---- for run() ---- */

static inline bool background_goes_on(const struct background *b)
{
    return !atomic_load(&b->ending);
}

/* At most so long; less when it is to end. */
void background_pause(const struct background *b, uint64_t ms);

/* For a unit of work: it ends when the thread is to. */
struct db_wait background_wait(const struct background *b, uint64_t ms);
