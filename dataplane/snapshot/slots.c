/* One table of keys for each kind of counter; a slot's number is its place. */

#include "snapshot/slots.h"

#include "shared/region.h"
#include "snapshot/build.h"

struct slot {
    char *key; /* NULL: never used */
    size_t n;
    uint64_t last; /* generation that had it last */
};

struct slots {
    struct slot deployment[SHARED_DEPLOYMENTS - 1];
    struct slot origin[SHARED_ORIGINS - 1];
};

enum { KEPT = 2 }; /* generations a slot outlives its entry: workers may still serve them */

struct slots *slots_new(void)
{
    return calloc(1, sizeof(struct slots));
}

static struct slot *table(struct slots *s, enum slot_kind kind, uint32_t *ret_n)
{
    *ret_n = kind == SLOT_ORIGIN ? ARRAY_LEN(s->origin) : ARRAY_LEN(s->deployment);
    return kind == SLOT_ORIGIN ? s->origin : s->deployment;
}

struct slots *slots_free(struct slots *s)
{
    if (!s)
        return NULL;
    for (unsigned kind = 0; kind < SLOT_KINDS; kind++) {
        uint32_t n;
        struct slot *t = table(s, kind, &n);
        for (uint32_t i = 0; i < n; i++)
            free(t[i].key);
    }
    free(s);
    return NULL;
}

static bool slot_take(struct slot *t, struct str key, uint64_t n)
{
    char *copy = malloc(key.n + 1);

    if (!copy)
        return false;
    memcpy(copy, key.p, key.n);
    free(t->key);
    *t = (struct slot){copy, key.n, n};
    return true;
}

void slots_set(struct slots *s, enum slot_kind kind, struct str key, uint32_t slot, uint64_t n)
{
    uint32_t max;
    struct slot *t = table(s, kind, &max);

    if (slot < max && key.n)
        (void)slot_take(&t[slot], key, n); /* without memory it gets another place */
}

uint32_t slots_get(struct slots *s, enum slot_kind kind, struct str key, uint64_t n)
{
    uint32_t max, spare;
    struct slot *t = table(s, kind, &max);

    spare = max;
    for (uint32_t i = 0; i < max; i++) {
        if (t[i].key && str_eq((struct str){t[i].key, t[i].n}, key)) {
            t[i].last = n;
            return i;
        }
        if (spare == max && (!t[i].key || t[i].last + KEPT < n))
            spare = i;
    }
    return spare < max && slot_take(&t[spare], key, n) ? spare : max;
}
