/* Models, credentials and settings: few, large and kept as they came. */

#include "snapshot/directory_priv.h"

static struct str bytes_of(ProtobufCBinaryData b)
{
    return (struct str){(const char *)b.data, b.len};
}

bool document_name(const Weir__Entity *en, struct str *ret_name)
{
    if (en->is_case == WEIR__ENTITY__IS_MODEL)
        *ret_name = bytes_of(en->model->id);
    else if (en->is_case == WEIR__ENTITY__IS_CREDENTIAL)
        *ret_name = bytes_of(en->credential->name);
    else if (en->is_case == WEIR__ENTITY__IS_SETTING)
        *ret_name = bytes_of(en->setting->name);
    else
        return false;
    return true;
}

void documents_deinit(struct documents *ds)
{
    for (size_t i = 0; i < ds->n; i++)
        weir__entity__free_unpacked(ds->items[i].own, NULL);
    free(ds->items);
    *ds = (struct documents){.changes = ds->changes};
}

static Weir__Entity *copy_of(const Weir__Entity *en)
{
    size_t n = weir__entity__get_packed_size(en);
    uint8_t *packed = malloc(n + 1);
    Weir__Entity *own = NULL;

    if (packed)
        own = weir__entity__unpack(NULL, weir__entity__pack(en, packed), packed);
    if (packed)
        explicit_bzero(packed, n); /* credentials */
    free(packed);
    return own;
}

static struct document *find(const struct documents *ds, const Weir__Entity *en, struct str name,
                             uint32_t hash)
{
    for (size_t i = 0; i < ds->n; i++) {
        struct document *doc = &ds->items[i];
        if (doc->hash == hash && doc->own->is_case == en->is_case && str_eq(doc->name, name))
            return doc;
    }
    return NULL;
}

enum errc documents_apply(struct documents *ds, const Weir__Entity *en, struct err *e)
{
    struct str name;

    if (!document_name(en, &name) || !name.n)
        return err_set(e, ERRC_INVALID, 0, "a document without a name");
    uint32_t hash = snap_hash(name.p, name.n);
    struct document *doc = find(ds, en, name, hash);
    if (en->gone && !doc)
        return ERRC_OK;
    if (en->gone) {
        weir__entity__free_unpacked(doc->own, NULL);
        *doc = ds->items[--ds->n];
        ds->changes++;
        return ERRC_OK;
    }
    if (!doc && ds->n == ds->cap) {
        size_t cap = ds->cap * 2 + 16;
        struct document *items = realloc(ds->items, cap * sizeof *items);
        if (!items)
            return err_set(e, ERRC_NOMEM, 0, "documents");
        ds->items = items;
        ds->cap = cap;
    }
    Weir__Entity *own = copy_of(en);
    if (!own)
        return err_set(e, ERRC_NOMEM, 0, "a document");
    if (doc)
        weir__entity__free_unpacked(doc->own, NULL);
    else
        doc = &ds->items[ds->n++];
    *doc = (struct document){.own = own, .hash = hash};
    (void)document_name(own, &doc->name); /* it had one */
    ds->changes++;
    return ERRC_OK;
}
