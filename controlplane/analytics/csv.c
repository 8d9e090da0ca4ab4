#include "analytics/csv.h"

struct csv csv_init(struct jw *w)
{
    return (struct csv){.w = w};
}

static void begin(struct csv *c)
{
    if (c->begun)
        jw_put_bytes(c->w, STR(","));
    c->begun = true;
}

static bool is_formula(struct str s)
{
    return s.n && strchr("=+-@\t\r\n", s.p[0]);
}

void csv_put(struct csv *c, struct str cell)
{
    bool quoted = false;
    struct str rest = cell, piece;
    bool more;

    for (size_t i = 0; i < cell.n && !quoted; i++)
        quoted = strchr("\",\r\n", cell.p[i]) != NULL;
    begin(c);
    if (quoted)
        jw_put_bytes(c->w, STR("\""));
    if (is_formula(cell))
        jw_put_bytes(c->w, STR("'"));
    do {
        more = str_cut(rest, '"', &piece, &rest);
        jw_put_bytes(c->w, piece);
        if (more)
            jw_put_bytes(c->w, STR("\"\""));
    } while (more);
    if (quoted)
        jw_put_bytes(c->w, STR("\""));
}

void csv_put_i64(struct csv *c, int64_t v)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)v);

    csv_put_raw(c, (struct str){text, (size_t)n});
}

void csv_put_raw(struct csv *c, struct str number)
{
    begin(c);
    jw_put_bytes(c->w, number);
}

void csv_end(struct csv *c)
{
    jw_put_bytes(c->w, STR("\r\n"));
    c->begun = false;
}
