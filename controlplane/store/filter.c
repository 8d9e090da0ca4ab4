#include "store/filter.h"

void filter_add(struct filter *f, const char *condition, const struct db_arg *args, int n)
{
    struct str rest = str_of(condition), sql = {0};
    size_t at;
    int used = 0;

    ASSERT(f->n + n <= FILTER_ARGS);
    while ((at = str_find(rest, STR("$?"))) != SIZE_MAX) {
        ASSERT(used < n);
        f->args[f->n] = args[used++];
        sql = arena_printf(f->arena, STR_FMT "%.*s$%d", STR_ARG(sql), (int)at, rest.p, ++f->n);
        rest = str_from(rest, at + 2);
    }
    ASSERT(used == n);
    f->sql = arena_printf(f->arena, STR_FMT "%s(" STR_FMT STR_FMT ")", STR_ARG(f->sql),
                          f->sql.n ? " AND " : "", STR_ARG(sql), STR_ARG(rest));
}

struct str filter_contains(struct arena *a, struct str text)
{
    char *out = arena_alloc(a, 2 * text.n + 3), *p = out;

    if (!out)
        return STR("");
    *p++ = '%';
    for (size_t i = 0; i < text.n; i++) {
        if (strchr("%_\\", text.p[i]) && text.p[i])
            *p++ = '\\';
        *p++ = text.p[i];
    }
    *p++ = '%';
    *p = '\0';
    return (struct str){out, (size_t)(p - out)};
}

static const char *where(const struct filter *f)
{
    return f->sql.n ? f->sql.p : "true";
}

int64_t filter_count(struct store *s, enum table t, const struct filter *f, int64_t most)
{
    struct str sql =
        arena_printf(s->arena, "SELECT count(*) FROM (SELECT FROM \"%s\" t WHERE %s LIMIT %lld) x",
                     s->catalog->table[t].name, where(f), (long long)most);

    return sql.n ? rows_int(tx_query(&s->tx, sql.p, f->args, f->n), 0, 0) : 0;
}

yyjson_mut_val *filter_page(struct store *s, enum table t, const struct filter *f,
                            const char *order, int64_t limit, int64_t offset)
{
    struct str tail = arena_printf(s->arena, "WHERE %s ORDER BY %s LIMIT %lld OFFSET %lld",
                                   where(f), order, (long long)limit, (long long)offset);

    return store_list(s, t, tail.n ? tail.p : "LIMIT 0", f->args, tail.n ? f->n : 0);
}
