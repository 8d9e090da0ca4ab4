/*
 * weirctl spend invoice: a provider's usage export (CSV) against what was recorded, matched by
 * response id. Each line and each row falls into one class; so what the classes differ by adds up
 * to what the sums differ by.
 *
 *   file ─▶ lines, sorted by id          rows of /weir/spend/rows, page by page
 *             └────────── look up ◀──────────┘
 *   lines that no row was for: asked for by id, for they may be of another day or provider
 */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/csv.h"
#include "common/num.h"

#include "cli/command.h"
#include "cli/show.h"

enum {
    LINES_MAX = 20000000,
    SHOWN_MAX = 1000, /* differences, unless all are asked for */
    ASKED = 1000,     /* ids in a request */
    NAMES = 4,        /* columns that may be added to one value */
};

/* ---- columns ---- */

enum column { COL_ID, COL_MODEL, COL_INPUT, COL_OUTPUT, COL_COST, COLS };

static const char *const column_name[COLS] = {"id", "model", "input", "output", "cost"};

/* Where providers' exports and common tools write things; a sum where they write parts. */
static const struct {
    const char *provider; /* NULL: any */
    enum column column;
    const char *names;
} known[] = {
    {"anthropic", COL_INPUT, "input_tokens+cache_creation_input_tokens+cache_read_input_tokens"},
    {"anthropic", COL_INPUT,
     "usage_input_tokens_no_cache+usage_input_tokens_cache_write_5m+"
     "usage_input_tokens_cache_write_1h+usage_input_tokens_cache_read"},
    {"anthropic", COL_OUTPUT, "usage_output_tokens"},
    {"anthropic", COL_MODEL, "model_version"},
    {"openai", COL_INPUT, "n_context_tokens_total"},
    {"openai", COL_OUTPUT, "n_generated_tokens_total"},
    {"openai", COL_MODEL, "snapshot_id"},
    {"openai", COL_COST, "amount_value"},
    {"openrouter", COL_ID, "generation_id"},
    {"openrouter", COL_INPUT, "tokens_prompt"},
    {"openrouter", COL_OUTPUT, "tokens_completion"},
    {"openrouter", COL_COST, "cost_total"},
    {NULL, COL_ID, "response_id"},
    {NULL, COL_ID, "id"},
    {NULL, COL_ID, "request_id"},
    {NULL, COL_ID, "message_id"},
    {NULL, COL_MODEL, "model"},
    {NULL, COL_INPUT, "input_tokens"},
    {NULL, COL_INPUT, "prompt_tokens"},
    {NULL, COL_OUTPUT, "output_tokens"},
    {NULL, COL_OUTPUT, "completion_tokens"},
    {NULL, COL_COST, "cost"},
    {NULL, COL_COST, "cost_usd"},
    {NULL, COL_COST, "amount"},
    {NULL, COL_COST, "total_cost"},
};

struct columns {
    int at[COLS][NAMES]; /* fields of a record; -1: no more */
};

static bool has(const struct columns *c, enum column col)
{
    return c->at[col][0] >= 0;
}

/* "a+b": where they stand in the header; false when the first is not there. */
static bool columns_find(struct columns *c, enum column col, struct str names,
                         const struct csv_reader *header)
{
    struct str one, rest = names;
    int n = 0;
    bool more;

    do {
        more = str_cut(rest, '+', &one, &rest);
        int found = -1;
        for (unsigned i = 0; i < header->n_fields; i++)
            if (str_ieq(str_trim(header->field[i]), one))
                found = (int)i;
        if (found < 0 && !n)
            return false;
        if (found >= 0 && n < NAMES)
            c->at[col][n++] = found;
    } while (more);
    return true;
}

static void columns_guess(struct columns *c, struct str provider, const struct csv_reader *header)
{
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!has(c, known[i].column) &&
            (!known[i].provider || str_ieq(provider, str_of(known[i].provider))))
            (void)columns_find(c, known[i].column, str_of(known[i].names), header); /* or not */
}

/* --columns id=request_id,cost=usd */
static enum cli_exit columns_given(struct columns *c, const char *given,
                                   const struct csv_reader *header)
{
    struct str rest = str_of(given), one, name, names;
    bool more;

    do {
        more = str_cut(rest, ',', &one, &rest);
        size_t col = 0;
        if (!str_cut(one, '=', &name, &names))
            return cli_fail(CLI_USAGE, "--columns: " STR_FMT " is not WHAT=COLUMN", STR_ARG(one));
        while (col < COLS && !str_eq(name, str_of(column_name[col])))
            col++;
        if (col == COLS)
            return cli_fail(CLI_USAGE, "--columns: id, model, input, output or cost, not " STR_FMT,
                            STR_ARG(name));
        if (!columns_find(c, (enum column)col, names, header))
            return cli_fail(CLI_USAGE, "the file has no column " STR_FMT, STR_ARG(names));
    } while (more);
    return CLI_OK;
}

static enum cli_exit columns_read(struct columns *c, const char *given, struct str provider,
                                  const struct csv_reader *header)
{
    memset(c, 0xff, sizeof *c); /* -1 */
    enum cli_exit rc = given ? columns_given(c, given, header) : CLI_OK;

    if (rc)
        return rc;
    columns_guess(c, provider, header);
    if (!has(c, COL_ID))
        return cli_fail(CLI_USAGE, "no column of response ids is known in this file; say which one "
                                   "with --columns id=COLUMN");
    if (!has(c, COL_COST) && !has(c, COL_INPUT) && !has(c, COL_OUTPUT))
        return cli_fail(CLI_USAGE, "no column of tokens or costs is known in this file; say which "
                                   "with --columns input=...,output=...,cost=...");
    return CLI_OK;
}

/* ---- lines of the file ---- */

struct amount {
    int64_t input, output, nusd;
};

struct line {
    struct str id, model;
    struct amount is;
    int64_t half_nusd; /* half of the last digit that is printed: closer it cannot be told */
    uint64_t line;
    bool is_matched;
};

struct invoice {
    struct cli *c;
    struct columns columns;
    struct str provider;
    const struct command *cmd;
    char *const *args;
    int n_args;
    char *map;
    size_t map_len;
    struct line *line;
    size_t n, cap;
};

/* Half of the last decimal of "0.0123", in nano-dollars. */
static int64_t half_of_last(struct str s)
{
    struct str whole, decimals;
    int64_t half = INT64_C(500000000);

    if (!str_cut(s, '.', &whole, &decimals) || memchr(s.p, 'e', s.n) || memchr(s.p, 'E', s.n))
        return 1;
    for (size_t i = 0; i < decimals.n && half > 1; i++)
        half /= 10;
    return half;
}

static bool read_sum(const struct invoice *v, const struct csv_reader *csv, enum column col,
                     int scale, int64_t *ret, int64_t *half)
{
    *ret = 0;
    for (unsigned i = 0; i < NAMES && v->columns.at[col][i] >= 0; i++) {
        unsigned at = (unsigned)v->columns.at[col][i];
        struct str s = at < csv->n_fields ? str_trim(csv->field[at]) : STR("");
        int64_t one = 0;
        if (str_starts(s, STR("$")))
            s = str_from(s, 1);
        if (s.n && !num_scaled(s, scale, &one))
            return false;
        if (__builtin_add_overflow(*ret, one, ret))
            return false;
        if (half)
            *half = MAX(*half, half_of_last(s));
    }
    return true;
}

static struct str field_of(const struct invoice *v, const struct csv_reader *csv, enum column col)
{
    int at = v->columns.at[col][0];

    return at >= 0 && (unsigned)at < csv->n_fields ? str_trim(csv->field[at]) : STR("");
}

static bool invoice_grow(struct invoice *v)
{
    size_t cap = MAX(2 * v->cap, (size_t)1024);
    struct line *more = v->n < v->cap ? v->line : reallocarray(v->line, cap, sizeof *more);

    if (!more)
        return false;
    v->cap = v->n < v->cap ? v->cap : cap;
    v->line = more;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int order = memcmp(x->id.p, y->id.p, MIN(x->id.n, y->id.n));

    return order ? order : x->id.n < y->id.n ? -1 : x->id.n > y->id.n;
}

static enum cli_exit read_line(struct invoice *v, const struct csv_reader *csv)
{
    struct line l = {
        .id = field_of(v, csv, COL_ID), .model = field_of(v, csv, COL_MODEL), .line = csv->line};

    if (!read_sum(v, csv, COL_INPUT, 0, &l.is.input, NULL) ||
        !read_sum(v, csv, COL_OUTPUT, 0, &l.is.output, NULL) ||
        !read_sum(v, csv, COL_COST, 9, &l.is.nusd, &l.half_nusd))
        return cli_fail(CLI_USAGE, "line %llu: not a number", (unsigned long long)csv->line);
    if (!l.id.n)
        return cli_fail(CLI_USAGE, "line %llu: no response id", (unsigned long long)csv->line);
    if (v->n == LINES_MAX || !invoice_grow(v))
        return cli_fail(CLI_REFUSED, "the file has too many lines for memory");
    v->line[v->n++] = l;
    return CLI_OK;
}

static enum cli_exit read_file(struct invoice *v, const char *path)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode);
    struct csv_reader csv;
    enum csv_got got;

    if (ok && st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        ok = p != MAP_FAILED;
        v->map = ok ? p : NULL;
        v->map_len = ok ? (size_t)st.st_size : 0;
    }
    if (fd >= 0)
        (void)close(fd); /* only read from */
    if (!ok)
        return cli_fail(CLI_USAGE, "%s: it cannot be read", path);
    csv = csv_read((struct str){v->map, v->map_len}, &v->c->arena);
    if (csv_next(&csv) != CSV_RECORD)
        return cli_fail(CLI_USAGE, "%s: a line of column names is needed", path);
    enum cli_exit rc = columns_read(&v->columns, v->c->columns, v->provider, &csv);
    while (!rc && (got = csv_next(&csv)) != CSV_END)
        rc = got == CSV_RECORD ? read_line(v, &csv)
                               : cli_fail(CLI_USAGE, "%s: line %llu is not CSV", path,
                                          (unsigned long long)csv.line);
    if (!rc && v->n)
        qsort(v->line, v->n, sizeof *v->line, by_id);
    return rc;
}

/* ---- what came of it ---- */

enum class {
    SAME,
    MISSING_HERE,
    MISSING_THERE,
    OTHER_TOKENS,
    ESTIMATED, /* other tokens, and ours are an estimate */
    OTHER_PRICE,
    TWICE, /* another line of an id: billed twice there */
    ELSEWHERE,
    CLASSES,
};

static const struct {
    const char *name, *means;
} classes[CLASSES] = {
    {"same", "tokens and cost agree"},
    {"missing here", "billed, and no row has that response id"},
    {"missing there", "a row was recorded, and the file does not bill it"},
    {"other tokens", "the provider counted other tokens than it reported with the answer"},
    {"estimated here", "the answer was cut before its usage came; ours is an estimate"},
    {"other price", "the same tokens at another price: look at the prices of the model"},
    {"twice there", "the file has a line of that id already"},
    {"elsewhere", "recorded, but on another day or for another provider"},
};

struct findings {
    yyjson_mut_doc *doc;
    yyjson_mut_val *list;
    size_t n_shown, max_shown, n_differences;
    struct {
        uint64_t n;
        struct amount here, there;
    } sum[CLASSES];
};

static void amount_add(struct amount *to, const struct amount *a)
{
    to->input += a->input;
    to->output += a->output;
    to->nusd += a->nusd;
}

static double usd(int64_t nusd)
{
    return (double)nusd / 1e9;
}

static void put_amounts(yyjson_mut_doc *d, yyjson_mut_val *v, const struct amount *here,
                        const struct amount *there)
{
    (void)(yyjson_mut_obj_add_int(d, v, "input_here", here->input) &&
           yyjson_mut_obj_add_int(d, v, "input_there", there->input) &&
           yyjson_mut_obj_add_int(d, v, "output_here", here->output) &&
           yyjson_mut_obj_add_int(d, v, "output_there", there->output) &&
           yyjson_mut_obj_add_real(d, v, "cost_here", usd(here->nusd)) &&
           yyjson_mut_obj_add_real(d, v, "cost_there", usd(there->nusd)) &&
           yyjson_mut_obj_add_real(d, v, "difference", usd(there->nusd - here->nusd)));
}

static void found(struct findings *f, enum class what, struct str id, struct str model,
                  const struct amount *here, const struct amount *there)
{
    f->sum[what].n++;
    amount_add(&f->sum[what].here, here);
    amount_add(&f->sum[what].there, there);
    if (what == SAME)
        return;
    f->n_differences++;
    if (f->n_shown == f->max_shown)
        return;
    yyjson_mut_val *v = yyjson_mut_arr_add_obj(f->doc, f->list);
    f->n_shown++;
    (void)(yyjson_mut_obj_add_str(f->doc, v, "why", classes[what].name) &&
           yyjson_mut_obj_add_strncpy(f->doc, v, "id", id.n ? id.p : "", id.n) &&
           yyjson_mut_obj_add_strncpy(f->doc, v, "model", model.n ? model.p : "", model.n));
    put_amounts(f->doc, v, here, there);
}

/* ---- rows against lines ---- */

static struct amount amount_of(yyjson_val *row)
{
    return (struct amount){yyjson_get_sint(yyjson_obj_get(row, "prompt_tokens")),
                           yyjson_get_sint(yyjson_obj_get(row, "completion_tokens")),
                           yyjson_get_sint(yyjson_obj_get(row, "spend_nusd"))};
}

/* The first line of that id that no row was for; NULL: none. */
static struct line *line_find(struct invoice *v, struct str id)
{
    struct line key = {.id = id};
    size_t lo = 0, hi = v->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_id(&v->line[mid], &key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < v->n && str_eq(v->line[lo].id, id) && !v->line[lo].is_matched ? &v->line[lo] : NULL;
}

static enum class compare(const struct invoice *v, const struct amount *here, const struct line *l,
                          bool is_estimated) {
    bool tokens_differ = (has(&v->columns, COL_INPUT) && here->input != l->is.input) ||
                         (has(&v->columns, COL_OUTPUT) && here->output != l->is.output);
    int64_t off = l->is.nusd - here->nusd;

    if (tokens_differ) return is_estimated ? ESTIMATED : OTHER_TOKENS;
    if (!has(&v->columns, COL_COST) || (off <= l->half_nusd && -off <= l->half_nusd)) return SAME;
    return is_estimated ? ESTIMATED : OTHER_PRICE;
}

static void take_row(struct invoice *v, struct findings *f, yyjson_val *row)
{
    struct amount here = amount_of(row), none = {0};
    struct str id = cli_text(yyjson_obj_get(row, "response_id"));
    struct line *l = line_find(v, id);

    if (l) {
        bool is_estimated = yyjson_get_bool(yyjson_obj_get(row, "estimated"));
        l->is_matched = true;
        found(f, compare(v, &here, l, is_estimated), id, l->model, &here, &l->is);
    } else if (here.nusd || here.input || here.output) {
        found(f, MISSING_THERE, id, cli_text(yyjson_obj_get(row, "model")), &here, &none);
    }
}

/* /weir/spend/rows with the members that were given, behind `after`. */
static struct str rows_path(struct invoice *v, const char *after)
{
    struct arena *a = &v->c->arena;
    struct str path = STR("/weir/spend/rows?limit=5000"), name, value;

    for (int i = 0; i < v->n_args; i++) {
        (void)str_cut(str_of(v->args[i]), '=', &name, &value); /* refused there if it has none */
        value = client_escaped(a, value);
        path = arena_printf(a, STR_FMT "&" STR_FMT "=" STR_FMT, STR_ARG(path), STR_ARG(name),
                            STR_ARG(value));
    }
    value = client_escaped(a, str_of(after));
    return value.n ? arena_printf(a, STR_FMT "&after=" STR_FMT, STR_ARG(path), STR_ARG(value))
                   : path;
}

/* One page; `after` says then where the next begins, empty: nowhere. */
static enum cli_exit take_page(struct invoice *v, struct findings *f, char *after, size_t cap)
{
    yyjson_doc *doc = NULL;
    enum cli_exit rc = cli_call(v->c, "GET", rows_path(v, after), NULL, &doc);
    yyjson_val *root = yyjson_doc_get_root(doc), *one;
    size_t i, n;

    if (rc)
        return rc;
    yyjson_arr_foreach(yyjson_obj_get(root, "rows"), i, n, one)
    {
        take_row(v, f, one);
    }
    struct str next = cli_text(yyjson_obj_get(root, "next"));
    if (next.n >= cap)
        rc = cli_fail(CLI_REFUSED, "an id is too long");
    else
        (void)snprintf(after, cap, STR_FMT, STR_ARG(next));
    yyjson_doc_free(doc);
    return rc;
}

static enum cli_exit take_rows(struct invoice *v, struct findings *f)
{
    char after[2048] = "";
    enum cli_exit rc;

    do {
        struct arena kept = v->c->arena; /* there may be thousands of pages */
        arena_init(&v->c->arena, NULL, 64 << 20);
        rc = take_page(v, f, after, sizeof after);
        arena_reset(&v->c->arena);
        v->c->arena = kept;
    } while (!rc && after[0]);
    return rc;
}

/* Lines at[0..n) that no row was for: their rows, wherever they are. */
static enum cli_exit take_left(struct invoice *v, struct findings *f, struct line *const *at,
                               size_t n)
{
    yyjson_mut_doc *ask = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(ask), *ids;
    struct amount none = {0};
    yyjson_doc *doc = NULL;
    yyjson_val *one;
    size_t i, m;

    yyjson_mut_doc_set_root(ask, root);
    ids = yyjson_mut_obj_add_arr(ask, root, "ids");
    for (i = 0; i < n; i++)
        (void)yyjson_mut_arr_add_strn(ask, ids, at[i]->id.p, at[i]->id.n);
    enum cli_exit rc = cli_call(v->c, "POST", STR("/weir/spend/rows"), ask, &doc);
    yyjson_mut_doc_free(ask);
    if (rc)
        return rc;
    yyjson_arr_foreach(yyjson_obj_get(yyjson_doc_get_root(doc), "rows"), i, m, one)
    {
        struct amount here = amount_of(one);
        struct line *l = line_find(v, cli_text(yyjson_obj_get(one, "response_id")));
        if (!l)
            continue;
        l->is_matched = true;
        found(f, ELSEWHERE, l->id, l->model, &here, &l->is);
    }
    for (i = 0; i < n; i++)
        if (!at[i]->is_matched)
            found(f, MISSING_HERE, at[i]->id, at[i]->model, &none, &at[i]->is);
    yyjson_doc_free(doc);
    return CLI_OK;
}

static enum cli_exit take_lines(struct invoice *v, struct findings *f)
{
    struct line *left[ASKED];
    struct amount none = {0};
    enum cli_exit rc = CLI_OK;
    size_t n = 0;

    for (size_t i = 0; !rc && i < v->n; i++) {
        struct line *l = &v->line[i];
        if (i && str_eq(l[-1].id, l->id))
            found(f, TWICE, l->id, l->model, &none, &l->is);
        else if (!l->is_matched)
            left[n++] = l;
        if (n == ASKED || (n && i + 1 == v->n)) {
            rc = take_left(v, f, left, n);
            n = 0;
        }
    }
    if (!rc && n)
        rc = take_left(v, f, left, n);
    return rc;
}

/* ---- the report ---- */

static yyjson_mut_val *summary(struct findings *f)
{
    yyjson_mut_val *list = yyjson_mut_arr(f->doc), *v;
    struct amount here = {0}, there = {0};
    uint64_t n = 0;

    for (unsigned k = 0; k < CLASSES; k++) {
        if (!f->sum[k].n)
            continue;
        v = yyjson_mut_arr_add_obj(f->doc, list);
        (void)(yyjson_mut_obj_add_str(f->doc, v, "why", classes[k].name) &&
               yyjson_mut_obj_add_uint(f->doc, v, "lines", f->sum[k].n));
        put_amounts(f->doc, v, &f->sum[k].here, &f->sum[k].there);
        (void)yyjson_mut_obj_add_str(f->doc, v, "means", classes[k].means);
        amount_add(&here, &f->sum[k].here);
        amount_add(&there, &f->sum[k].there);
        n += f->sum[k].n;
    }
    v = yyjson_mut_arr_add_obj(f->doc, list);
    (void)(yyjson_mut_obj_add_str(f->doc, v, "why", "all") &&
           yyjson_mut_obj_add_uint(f->doc, v, "lines", n));
    put_amounts(f->doc, v, &here, &there);
    (void)yyjson_mut_obj_add_str(f->doc, v, "means", "");
    return list;
}

static void put_table(struct cli *c, yyjson_val *list, const char *columns)
{
    size_t n = yyjson_arr_size(list), i, m;
    struct show_row *rows = arena_alloc(&c->arena, (n + 1) * sizeof *rows);
    yyjson_val *one;

    if (!rows)
        return;
    yyjson_arr_foreach(list, i, m, one)
    {
        rows[i] = (struct show_row){one, NULL};
    }
    show_table(stdout, &c->arena, rows, n, columns);
}

static enum cli_exit report(struct cli *c, struct findings *f)
{
    yyjson_mut_val *root = yyjson_mut_obj(f->doc);

    yyjson_mut_doc_set_root(f->doc, root);
    (void)(yyjson_mut_obj_add_val(f->doc, root, "summary", summary(f)) &&
           yyjson_mut_obj_add_val(f->doc, root, "differences", f->list));
    yyjson_doc *doc = yyjson_mut_doc_imut_copy(f->doc, NULL);
    if (!doc)
        return cli_fail(CLI_REFUSED, "no memory");
    yyjson_val *v = yyjson_doc_get_root(doc);
    if (c->json) {
        struct str text = cli_json(&c->arena, v, true);
        (void)printf(STR_FMT "\n", STR_ARG(text));
    } else {
        if (f->n_shown) {
            put_table(c, yyjson_obj_get(v, "differences"),
                      "why,id,model,input_here,input_there,output_here,output_there,cost_here,"
                      "cost_there,difference");
            (void)putchar('\n');
        }
        put_table(c, yyjson_obj_get(v, "summary"),
                  "why,lines,cost_here,cost_there,difference,input_here,input_there,output_here,"
                  "output_there,means");
        if (f->n_differences > f->n_shown)
            (void)fprintf(stderr,
                          "The first %zu differences of %zu are shown; --all shows the "
                          "others.\n",
                          f->n_shown, f->n_differences);
    }
    yyjson_doc_free(doc);
    return f->n_differences ? CLI_DIFFERS : CLI_OK;
}

static struct str value_of(char *const *args, int n, const char *name)
{
    struct str key, value;

    for (int i = 0; i < n; i++)
        if (str_cut(str_of(args[i]), '=', &key, &value) && str_eq(key, str_of(name)))
            return value;
    return (struct str){0};
}

enum cli_exit cli_invoice(struct cli *c, const struct command *cmd, char *const *args, int n_args)
{
    struct invoice v = {.c = c, .cmd = cmd, .args = args + 1, .n_args = n_args - 1};
    struct findings f = {.max_shown = c->all ? SIZE_MAX : SHOWN_MAX};
    enum cli_exit rc;

    if (n_args < 1 || strchr(args[0], '='))
        return cli_fail(CLI_USAGE, "a file is needed; see weirctl spend invoice --help");
    v.provider = value_of(v.args, v.n_args, "provider");
    if (!v.provider.n)
        return cli_fail(CLI_USAGE, "whose invoice is it? --provider openai, anthropic ...");
    f.doc = yyjson_mut_doc_new(NULL);
    f.list = yyjson_mut_arr(f.doc);
    rc = f.list ? read_file(&v, args[0]) : cli_fail(CLI_REFUSED, "no memory");
    if (!rc)
        rc = take_rows(&v, &f);
    if (!rc)
        rc = take_lines(&v, &f);
    if (!rc)
        rc = report(c, &f);
    yyjson_mut_doc_free(f.doc);
    free(v.line);
    if (v.map)
        (void)munmap(v.map, v.map_len);
    return rc;
}
