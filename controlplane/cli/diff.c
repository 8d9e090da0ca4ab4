#include "cli/diff.h"

#include "cli/cli.h"

enum { DEPTH_MAX = 16 };

static bool same(yyjson_val *want, yyjson_val *is, unsigned depth)
{
    yyjson_val *k, *v;
    size_t i, n;

    if (yyjson_is_null(want))
        return !is || yyjson_is_null(is);
    if (yyjson_is_num(want))
        return yyjson_is_num(is) && yyjson_get_num(want) >= yyjson_get_num(is) &&
               yyjson_get_num(want) <= yyjson_get_num(is);
    if (!yyjson_is_ctn(want) || depth == DEPTH_MAX)
        return yyjson_equals(want, is);
    if (yyjson_is_arr(want) && !yyjson_get_len(want) && (!is || yyjson_is_null(is)))
        return true; /* nothing either way */
    if (yyjson_get_type(want) != yyjson_get_type(is))
        return false;
    if (yyjson_is_obj(want)) {
        yyjson_obj_foreach(want, i, n, k, v)
        {
            if (!same(v, yyjson_obj_getn(is, yyjson_get_str(k), yyjson_get_len(k)), depth + 1))
                return false;
        }
        return true;
    }
    if (yyjson_arr_size(want) != yyjson_arr_size(is))
        return false;
    yyjson_arr_foreach(want, i, n, v)
    {
        if (!same(v, yyjson_arr_get(is, i), depth + 1))
            return false;
    }
    return true;
}

bool diff_same(yyjson_val *want, yyjson_val *is)
{
    return same(want, is, 0);
}

bool diff_within(yyjson_val *want, yyjson_val *is)
{
    yyjson_val *w, *v;
    size_t i, n, j, m;

    if (!yyjson_is_arr(want) || !yyjson_is_arr(is))
        return diff_same(want, is);
    yyjson_arr_foreach(want, i, n, w)
    {
        bool found = false;
        yyjson_arr_foreach(is, j, m, v)
        {
            found |= diff_same(w, v);
        }
        if (!found)
            return false;
    }
    return true;
}

static void put(struct diff *d, struct str path, yyjson_val *want, yyjson_val *is)
{
    if (d->n == d->cap) {
        size_t cap = MAX(2 * d->cap, (size_t)16);
        struct difference *more = arena_alloc(d->arena, cap * sizeof *more);
        if (!more)
            return;
        if (d->n)
            memcpy(more, d->list, d->n * sizeof *more);
        d->list = more;
        d->cap = cap;
    }
    d->list[d->n++] = (struct difference){path, want, is};
}

static void add(struct diff *d, struct str path, yyjson_val *want, yyjson_val *is, unsigned depth)
{
    yyjson_val *k, *v;
    size_t i, n;

    if (same(want, is, depth))
        return;
    if (!yyjson_is_obj(want) || !yyjson_is_obj(is) || depth == DEPTH_MAX) {
        put(d, path, want, is);
        return;
    }
    yyjson_obj_foreach(want, i, n, k, v)
    {
        struct str name = cli_text(k);
        struct str below =
            arena_printf(d->arena, STR_FMT "." STR_FMT, STR_ARG(path), STR_ARG(name));
        add(d, below, v, yyjson_obj_getn(is, name.p, name.n), depth + 1);
    }
}

void diff_add(struct diff *d, struct str path, yyjson_val *want, yyjson_val *is)
{
    add(d, path, want, is, 0);
}
