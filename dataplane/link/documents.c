#include "link/documents.h"

enum { DOCUMENTS_MAX = 512 << 20 };

struct collected {
    struct arena *arena;
    struct config_row *rows;
    size_t n, cap;
};

static struct str text_of(struct arena *a, ProtobufCBinaryData b)
{
    return arena_str(a, (struct str){(const char *)b.data, b.len});
}

static struct config_row row_of(struct arena *a, const Weir__Entity *en)
{
    if (en->is_case == WEIR__ENTITY__IS_MODEL)
        return (struct config_row){.kind = ROW_MODEL,
                                   .id = text_of(a, en->model->id),
                                   .name = text_of(a, en->model->name),
                                   .value = text_of(a, en->model->litellm_params),
                                   .info = text_of(a, en->model->model_info),
                                   .blocked = en->model->blocked,
                                   .by_proxy_admin = en->model->by_proxy_admin};
    if (en->is_case == WEIR__ENTITY__IS_CREDENTIAL)
        return (struct config_row){.kind = ROW_CREDENTIAL,
                                   .name = text_of(a, en->credential->name),
                                   .value = text_of(a, en->credential->values),
                                   .info = text_of(a, en->credential->info)};
    ASSERT(en->is_case == WEIR__ENTITY__IS_SETTING); /* no others are asked for */
    return (struct config_row){.kind = ROW_SETTING,
                               .name = text_of(a, en->setting->name),
                               .value = text_of(a, en->setting->value)};
}

static void on_document(void *ctx, const Weir__Entity *en)
{
    struct collected *c = ctx;

    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        struct config_row *more = arena_alloc(c->arena, cap * sizeof *more);
        if (!more)
            return; /* told at the end */
        if (c->n)
            memcpy(more, c->rows, c->n * sizeof *more);
        c->rows = more;
        c->cap = cap;
    }
    c->rows[c->n++] = row_of(c->arena, en);
}

static int str_compare(struct str a, struct str b)
{
    int c = MIN(a.n, b.n) ? memcmp(a.p, b.p, MIN(a.n, b.n)) : 0;

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* One order whatever way they came: equal documents make equal generations. */
static int row_compare(const void *x, const void *y)
{
    const struct config_row *a = x, *b = y;
    int c = (a->kind > b->kind) - (a->kind < b->kind);

    if (!c)
        c = str_compare(a->name, b->name);
    return c ? c : str_compare(a->id, b->id);
}

struct documents *documents_new(const struct directory *d)
{
    static const Weir__Entity__IsCase kinds[] = {
        WEIR__ENTITY__IS_MODEL, WEIR__ENTITY__IS_CREDENTIAL, WEIR__ENTITY__IS_SETTING};
    AUTO_FREE(documents) struct documents *to = calloc(1, sizeof *to);

    if (!to)
        return NULL;
    arena_init(&to->arena, NULL, DOCUMENTS_MAX);
    struct collected c = {.arena = &to->arena};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        directory_each_document(d, kinds[i], on_document, &c);
    if (!arena_ok(&to->arena))
        return NULL;
    if (c.n)
        qsort(c.rows, c.n, sizeof *c.rows, row_compare);
    to->version = directory_documents(d);
    to->rows = c.rows;
    to->n = c.n;
    return TAKE(to);
}

struct documents *documents_free(struct documents *d)
{
    if (d)
        arena_reset(&d->arena);
    free(d);
    return NULL;
}
