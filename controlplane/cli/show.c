#include "cli/show.h"

#include <unistd.h>

#include "cli/cli.h"

enum { CELL_MAX = 48 }; /* columns of a cell on a terminal */

struct str show_harmless(struct arena *a, struct str s)
{
    struct str out = arena_str(a, s);
    char *p = (char *)(uintptr_t)out.p; /* ours */

    for (size_t i = 0; i < out.n; i++) {
        unsigned char ch = (unsigned char)p[i];
        bool is_c1 = ch == 0xc2 && i + 1 < out.n && (unsigned char)p[i + 1] < 0xa0;
        if (ch < 0x20 || ch == 0x7f || is_c1)
            p[i] = '?';
        if (is_c1)
            p[i + 1] = '?';
    }
    return out;
}

/* Characters, as far as that says how wide it is. */
static size_t width_of(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

struct str show_cell(struct arena *a, yyjson_val *v)
{
    struct str out = {0};
    yyjson_val *one;
    size_t i, n;

    if (yyjson_is_str(v))
        return show_harmless(a, cli_text(v));
    if (!yyjson_is_arr(v))
        return yyjson_is_null(v) || !v ? STR("-") : show_harmless(a, cli_json(a, v, false));
    yyjson_arr_foreach(v, i, n, one)
    {
        struct str text =
            show_harmless(a, yyjson_is_str(one) ? cli_text(one) : cli_json(a, one, false));
        out = arena_printf(a, STR_FMT "%s" STR_FMT, STR_ARG(out), i ? "," : "", STR_ARG(text));
    }
    return out.n ? out : STR("-");
}

/* What of it fits on a terminal. */
static struct str cut(struct arena *a, struct str s)
{
    size_t at = 0, n = 0;

    if (!isatty(STDOUT_FILENO) || width_of(s) <= CELL_MAX)
        return s;
    while (n < CELL_MAX - 1 || ((unsigned char)s.p[at] & 0xc0) == 0x80) {
        n += ((unsigned char)s.p[at] & 0xc0) != 0x80;
        at++;
    }
    return arena_printf(a, "%.*s…", (int)at, s.p);
}

static yyjson_val *column_of(const struct show_row *row, struct str path)
{
    yyjson_val *v = row->v;
    struct str name, rest = path;
    bool more;

    do {
        more = str_cut(rest, '.', &name, &rest);
        v = yyjson_obj_getn(v, name.p, name.n);
    } while (more);
    return v || !row->parent ? v : yyjson_obj_getn(row->parent, path.p, path.n);
}

static struct str heading(struct arena *a, struct str column)
{
    struct str last = column, before, behind;

    while (str_cut(last, '.', &before, &behind))
        last = behind;
    last = arena_str(a, last);
    for (size_t i = 0; i < last.n; i++) {
        char *p = (char *)(uintptr_t)last.p; /* ours */
        p[i] = p[i] == '_' ? ' ' : (char)(p[i] >= 'a' && p[i] <= 'z' ? p[i] - 'a' + 'A' : p[i]);
    }
    return last;
}

static void put_padded(FILE *f, struct str s, size_t width)
{
    (void)fprintf(f, STR_FMT "%*s", STR_ARG(s),
                  (int)(width > width_of(s) ? width - width_of(s) : 0), "");
}

void show_table(FILE *f, struct arena *a, const struct show_row *rows, size_t n,
                const char *columns)
{
    enum { COLUMNS_MAX = 16 };
    struct str name[COLUMNS_MAX], rest = str_of(columns), *cell;
    size_t width[COLUMNS_MAX], n_columns = 0;
    bool more;

    do {
        ASSERT(n_columns < COLUMNS_MAX);
        more = str_cut(rest, ',', &name[n_columns++], &rest);
    } while (more);
    cell = arena_alloc(a, (n + 1) * n_columns * sizeof *cell);
    if (!cell)
        return;
    for (size_t k = 0; k < n_columns; k++) {
        cell[k] = heading(a, name[k]);
        width[k] = width_of(cell[k]);
        for (size_t i = 0; i < n; i++) {
            struct str *s = &cell[(i + 1) * n_columns + k];
            *s = cut(a, show_cell(a, column_of(&rows[i], name[k])));
            width[k] = MAX(width[k], width_of(*s));
        }
    }
    for (size_t i = 0; i <= n; i++)
        for (size_t k = 0; k < n_columns; k++) {
            bool is_last = k + 1 == n_columns;
            put_padded(f, cell[i * n_columns + k], is_last ? 0 : width[k]);
            (void)fputs(is_last ? "\n" : "  ", f);
        }
}

/* null, [], {} and "" say nothing. */
static bool says_something(yyjson_val *v)
{
    return !yyjson_is_null(v) && !(yyjson_is_ctn(v) && !yyjson_get_len(v)) &&
           !(yyjson_is_str(v) && !yyjson_get_len(v));
}

void show_object_but(FILE *f, struct arena *a, yyjson_val *obj, const char *but)
{
    yyjson_val *k, *v;
    size_t i, n, width = 0;

    if (!yyjson_is_obj(obj)) {
        struct str text = show_cell(a, obj);
        (void)fprintf(f, STR_FMT "\n", STR_ARG(text));
        return;
    }
    yyjson_obj_foreach(obj, i, n, k, v)
    {
        if (says_something(v) && !str_eq(cli_text(k), str_of(but)))
            width = MAX(width, width_of(cli_text(k)));
    }
    yyjson_obj_foreach(obj, i, n, k, v)
    {
        if (!says_something(v) || str_eq(cli_text(k), str_of(but)))
            continue;
        put_padded(f, show_harmless(a, cli_text(k)), width);
        struct str text = show_cell(a, v);
        (void)fprintf(f, "  " STR_FMT "\n", STR_ARG(text));
    }
}

void show_object(FILE *f, struct arena *a, yyjson_val *obj)
{
    show_object_but(f, a, obj, "");
}
