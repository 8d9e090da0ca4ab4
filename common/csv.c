#include "common/csv.h"

static char separator_of(struct str text)
{
    static const char may_be[] = {',', ';', '\t', '|'};
    size_t best = 0, count[ARRAY_LEN(may_be)] = {0};
    bool is_quoted = false;

    for (size_t i = 0; i < text.n && (is_quoted || text.p[i] != '\n'); i++) {
        is_quoted ^= text.p[i] == '"';
        for (size_t k = 0; k < ARRAY_LEN(may_be) && !is_quoted; k++)
            count[k] += text.p[i] == may_be[k];
    }
    for (size_t k = 1; k < ARRAY_LEN(may_be); k++)
        if (count[k] > count[best])
            best = k;
    return may_be[best];
}

struct csv_reader csv_read(struct str text, struct arena *arena)
{
    if (str_starts(text, STR("\xef\xbb\xbf")))
        text = str_from(text, 3);
    return (struct csv_reader){
        .rest = text, .separator = separator_of(text), .arena = arena, .next_line = 1};
}

/* How many bytes of `s` end a line: 0, 1 or 2. */
static size_t line_end(struct str s)
{
    return str_starts(s, STR("\r\n")) ? 2 : s.n && s.p[0] == '\n';
}

/* Quotes doubled, as one. */
static bool unescape(struct csv_reader *c, struct str *s)
{
    char *out = arena_alloc(c->arena, s->n + 1);
    size_t n = 0;

    if (!out)
        return false;
    for (size_t i = 0; i < s->n; i++) {
        out[n++] = s->p[i];
        i += s->p[i] == '"'; /* they come in pairs here */
    }
    *s = (struct str){out, n};
    return true;
}

/* A field within quotes, the first of which is behind us. */
static enum csv_got read_quoted(struct csv_reader *c, struct str *ret)
{
    struct str s = c->rest;
    size_t at = 0;
    bool has_escapes = false;

    for (;; at++) {
        if (at >= s.n)
            return CSV_BAD;
        c->next_line += s.p[at] == '\n';
        if (s.p[at] != '"')
            continue;
        if (at + 1 >= s.n || s.p[at + 1] != '"')
            break;
        has_escapes = true;
        at++;
    }
    *ret = (struct str){s.p, at};
    c->rest = str_from(s, at + 1);
    if (c->rest.n && c->rest.p[0] != c->separator && !line_end(c->rest))
        return CSV_BAD;
    return has_escapes && !unescape(c, ret) ? CSV_LARGE : CSV_RECORD;
}

static void read_plain(struct csv_reader *c, struct str *ret)
{
    size_t at = 0;

    while (at < c->rest.n && c->rest.p[at] != c->separator && !line_end(str_from(c->rest, at)))
        at++;
    *ret = (struct str){c->rest.p, at};
    c->rest = str_from(c->rest, at);
}

enum csv_got csv_next(struct csv_reader *c)
{
    bool more = true;
    size_t end;

    while ((end = line_end(c->rest))) {
        c->rest = str_from(c->rest, end);
        c->next_line++;
    }
    if (!c->rest.n)
        return CSV_END;
    c->line = c->next_line;
    for (c->n_fields = 0; more; c->n_fields++) {
        if (c->n_fields == CSV_FIELDS)
            return CSV_LARGE;
        struct str *f = &c->field[c->n_fields];
        if (c->rest.n && c->rest.p[0] == '"') {
            c->rest = str_from(c->rest, 1);
            enum csv_got got = read_quoted(c, f);
            if (got != CSV_RECORD)
                return got;
        } else {
            read_plain(c, f);
        }
        more = c->rest.n && c->rest.p[0] == c->separator;
        c->rest = str_from(c->rest, more);
    }
    end = line_end(c->rest);
    c->rest = str_from(c->rest, end);
    c->next_line += end > 0;
    return CSV_RECORD;
}
