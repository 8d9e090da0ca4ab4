/* JSON to the tree. yyjson reads without recursion; building goes as deep as CONF_MAX_DEPTH. */

#include <yyjson.h>

#include "common/conf.h"

enum { MAX_NAMES = 10000 }; /* of one object: each is compared with those before it */

struct builder {
    struct arena *arena;
    const char *name;
    enum conf_source source;
    struct err *err;
    size_t nodes;
};

static struct str text_of(yyjson_val *v)
{
    return yyjson_is_raw(v) ? (struct str){yyjson_get_raw(v), yyjson_get_len(v)}
                            : (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

static bool is_fraction(struct str number)
{
    return memchr(number.p, '.', number.n) || memchr(number.p, 'e', number.n) ||
           memchr(number.p, 'E', number.n);
}

static enum errc scalar(struct builder *b, struct conf_node *n, yyjson_val *v)
{
    if (yyjson_is_null(v)) {
        n->kind = CONF_NULL;
    } else if (yyjson_is_bool(v)) {
        n->kind = CONF_BOOL;
        n->truth = yyjson_is_true(v);
        n->text = n->truth ? STR("true") : STR("false");
    } else {
        n->text = arena_str(b->arena, text_of(v));
        n->kind = yyjson_is_str(v) ? CONF_STR : is_fraction(n->text) ? CONF_FLOAT : CONF_INT;
        if (!n->text.p)
            return err_set(b->err, ERRC_NOMEM, 0, "%s", b->name);
    }
    return ERRC_OK;
}

static enum errc build(struct builder *b, struct conf_node *n, yyjson_val *v, unsigned depth);

/* The children of a list or map, whose names may not repeat. */
static enum errc children(struct builder *b, struct conf_node *n, yyjson_val *v, unsigned depth)
{
    const bool is_map = n->kind == CONF_MAP;
    size_t count = is_map ? yyjson_obj_size(v) : yyjson_arr_size(v), i, max;
    yyjson_obj_iter names;
    yyjson_val *one;

    if (depth == CONF_MAX_DEPTH)
        return err_set(b->err, ERRC_LIMIT, 0, "%s: nested deeper than %d", b->name, CONF_MAX_DEPTH);
    if (count > (is_map ? MAX_NAMES : CONF_MAX_NODES))
        return err_set(b->err, ERRC_LIMIT, 0, "%s: too many values in one place", b->name);
    struct conf_node *items = arena_zalloc(b->arena, (count + 1) * sizeof *items);
    if (!items)
        return err_set(b->err, ERRC_NOMEM, 0, "%s", b->name);
    n->first = items;
    if (is_map) {
        yyjson_obj_iter_init(v, &names);
        while ((one = yyjson_obj_iter_next(&names)) != NULL) {
            struct conf_node *it = &items[n->n];
            struct str key = arena_str(b->arena, text_of(one));
            if (conf_get(n, key))
                return err_set(b->err, ERRC_INVALID, 0, "%s: " STR_FMT " stands there twice",
                               b->name, STR_ARG(key));
            enum errc rc = build(b, it, yyjson_obj_iter_get_val(one), depth + 1);
            if (rc)
                return rc;
            it->key = key;
            n->n++;
        }
    } else {
        yyjson_arr_foreach(v, i, max, one)
        {
            enum errc rc = build(b, &items[n->n], one, depth + 1);
            if (rc)
                return rc;
            n->n++;
        }
    }
    CONF_FOREACH(n, it)
    {
        n->size += it->size;
        n->height = MAX(n->height, it->height + 1);
    }
    return ERRC_OK;
}

static enum errc build(struct builder *b, struct conf_node *n, yyjson_val *v, unsigned depth)
{
    *n = (struct conf_node){.file = b->name, .source = b->source, .size = 1};
    if (++b->nodes > CONF_MAX_NODES)
        return err_set(b->err, ERRC_LIMIT, 0, "%s: more than %d values", b->name, CONF_MAX_NODES);
    if (!yyjson_is_ctn(v))
        return scalar(b, n, v);
    n->kind = yyjson_is_obj(v) ? CONF_MAP : CONF_LIST;
    return children(b, n, v, depth);
}

enum errc conf_parse_json(const struct conf_node **ret_root, struct arena *a, const char *name,
                          enum conf_source source, struct str text, struct err *e)
{
    struct builder b = {a, arena_str(a, str_of(name)).p, source, e, 0};
    struct conf_node *root = arena_alloc(a, sizeof *root);
    yyjson_read_err why;

    if (!root || !b.name)
        return err_set(e, ERRC_NOMEM, 0, "%s", name);
    if (text.n > CONF_MAX_BYTES)
        return err_set(e, ERRC_LIMIT, 0, "%s: larger than %d bytes", name, CONF_MAX_BYTES);
    yyjson_doc *doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, /* not in place: const */
                                       YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    if (!doc)
        return err_set(e,
                       why.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? ERRC_NOMEM : ERRC_INVALID,
                       0, "%s: no JSON: %s at byte %zu", name, why.msg, why.pos);
    enum errc rc = build(&b, root, yyjson_doc_get_root(doc), 0);
    yyjson_doc_free(doc);
    if (!rc)
        *ret_root = root;
    return rc;
}
