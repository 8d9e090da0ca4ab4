/* A list of spares in front of malloc. */

#include "common/slab.h"

#include "common/poison.h"

struct slab_spare {
    struct slab_spare *next;
};

static struct slab_spare *spare_pop(struct slab *s)
{
    struct slab_spare *o = s->spare;

    if (!o)
        return NULL;
    ASAN_UNPOISON_MEMORY_REGION(o, s->size);
    s->spare = o->next;
    s->n_spare--;
    s->low = MIN(s->low, s->n_spare);
    return o;
}

void slab_init(struct slab *s, size_t size, unsigned max)
{
    *s = (struct slab){.size = MAX(size, sizeof(struct slab_spare)), .max = max};
}

void slab_deinit(struct slab *s)
{
    ASSERT(s->n_lent == 0);
    for (struct slab_spare *o; (o = spare_pop(s));)
        free(o);
}

void *slab_get(struct slab *s)
{
    if (s->n_lent >= s->max)
        return NULL;
    void *o = spare_pop(s);
    if (!o)
        o = malloc(s->size);
    if (o)
        s->n_lent++;
    return o;
}

void slab_put(struct slab *s, void *obj)
{
    struct slab_spare *o = obj;

    ASSERT(s->n_lent > 0);
    s->n_lent--;
    o->next = s->spare;
    s->spare = o;
    s->n_spare++;
    ASAN_POISON_MEMORY_REGION(o, s->size);
}

void slab_trim(struct slab *s)
{
    for (unsigned n = s->low; n > 0; n--)
        free(spare_pop(s));
    s->low = s->n_spare;
}
