#pragma once

/* A deployment with edits, in a snapshot just large enough for both. */

#include "provider/edit.h"
#include "snapshot/view.h"

struct test_deployment {
    _Alignas(8) char bytes[32 * 1024];
    size_t n;
    struct snap_edit edit[64]; /* copied into bytes[] by deployment_seal() */
    struct snapshot snapshot;
    struct snap_deployment d;
};

static inline void deployment_init(struct test_deployment *t)
{
    t->n = 8; /* offset 0 is the empty reference */
    t->d = (struct snap_deployment){0};
}

static inline struct snap_ref deployment_put(struct test_deployment *t, const void *p, size_t n)
{
    struct snap_ref ref = {(uint32_t)t->n, (uint32_t)n};

    if (n == 0 || n > sizeof t->bytes - t->n)
        return (struct snap_ref){0};
    memcpy(t->bytes + t->n, p, n);
    t->n += n;
    return ref;
}

/* `apis` 0: all. */
static inline void deployment_edit(struct test_deployment *t, enum edit_op op, uint32_t apis,
                                   struct str a, struct str b, struct str c, struct str when_model)
{
    if (t->d.edits.n == sizeof t->edit / sizeof t->edit[0])
        return;
    t->edit[t->d.edits.n++] = (struct snap_edit){
        .op = op,
        .apis = apis ? apis : ~0u,
        .a = deployment_put(t, a.p, a.n),
        .b = deployment_put(t, b.p, b.n),
        .c = deployment_put(t, c.p, c.n),
        .when_model = deployment_put(t, when_model.p, when_model.n),
    };
}

/* After the last edit: `snapshot` and `d` can be used. */
static inline void deployment_seal(struct test_deployment *t)
{
    uint32_t n = t->d.edits.n;

    t->n = (t->n + 7) & ~(size_t)7;
    t->d.edits = deployment_put(t, t->edit, n * sizeof t->edit[0]);
    t->d.edits.n = t->d.edits.n ? n : 0;
    t->snapshot = (struct snapshot){.base = t->bytes, .size = t->n};
}
