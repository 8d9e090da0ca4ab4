/* Daily activity as a file: rows by day and object, and by key, model or user. */

#include "analytics/csv.h"
#include "api/activity_priv.h"

/* Columns of a row, and where they come from: those of k, the metrics, then what is looked up. */
enum {
    ROW_ENTITY,
    ROW_PART,
    ROW_METRICS,
    ROW_ALIAS = ROW_METRICS + METRIC_COLUMNS,
    ROW_KEY_ALIAS,
    ROW_USER,
    ROW_EMAIL
};

#define KEY_OWNER                                                                                  \
    " LEFT JOIN \"LiteLLM_VerificationToken\" v ON v.token = k.part"                               \
    " LEFT JOIN LATERAL (SELECT d.key_alias, d.user_id FROM \"LiteLLM_DeletedVerificationToken\" " \
    "d"                                                                                            \
    "  WHERE d.token = k.part ORDER BY d.deleted_at DESC LIMIT 1) x ON v.token IS NULL"            \
    " LEFT JOIN \"LiteLLM_UserTable\" u ON u.user_id = coalesce(v.user_id, x.user_id)"

static const struct type {
    struct str name;
    const char *part;           /* what a row is of, besides day and object */
    const char *columns, *join; /* of the key and the user */
    bool is_key, is_model;
} types[] = {
    {STR_INIT("daily"), "''", "NULL, NULL, NULL", "", false, false},
    {STR_INIT("daily_with_keys"), "d.api_key",
     "coalesce(v.key_alias, x.key_alias), coalesce(v.user_id, x.user_id), u.user_email", KEY_OWNER,
     true, false},
    {STR_INIT("daily_with_models"), "coalesce(nullif(d.model, ''), 'unknown-model')",
     "NULL, NULL, NULL", "", false, true},
    {STR_INIT("daily_with_users"),
     "coalesce((SELECT v.user_id FROM \"LiteLLM_VerificationToken\" v WHERE v.token = d.api_key),"
     " (SELECT x.user_id FROM \"LiteLLM_DeletedVerificationToken\" x WHERE x.token = d.api_key"
     "  ORDER BY x.deleted_at DESC LIMIT 1), '')",
     "NULL, nullif(k.part, ''), u.user_email",
     " LEFT JOIN \"LiteLLM_UserTable\" u ON u.user_id = k.part", false, false},
};

/* The object's name. */
static const char *const aliases[DAILY_KINDS] = {
    [DAILY_TEAM] = "(SELECT t.team_alias FROM \"LiteLLM_TeamTable\" t WHERE t.team_id = k.entity)",
    [DAILY_ORGANIZATION] = "(SELECT o.organization_alias FROM \"LiteLLM_OrganizationTable\" o"
                           " WHERE o.organization_id = k.entity)",
};

static const enum metric_count counts[] = {
    COUNT_prompt_tokens,
    COUNT_completion_tokens,
    COUNT_api_requests,
    COUNT_successful_requests,
    COUNT_failed_requests,
    COUNT_cache_read_input_tokens,
    COUNT_cache_creation_input_tokens,
};

static const char *const texts[] = {"date",      "entity_id", "entity_alias", "api_key",
                                    "key_alias", "user_id",   "user_email",   "model"};

/* ---- one row ---- */

struct row {
    struct str text[ARRAY_LEN(texts)]; /* p NULL: none */
    struct metrics m;
};

static void row_read(struct row *ret, struct call *c, const struct type *t, struct str date,
                     struct rows r, int i)
{
    struct str part = rows_text(r, i, ROW_PART);
    struct str key = t->is_key ? key_bucket(&c->arena, part) : (struct str){0};
    struct str key_alias = rows_text(r, i, ROW_KEY_ALIAS);

    if (t->is_key && !part.n)
        key_alias = STR("Unattributed");
    *ret = (struct row){.text = {date, rows_text(r, i, ROW_ENTITY), rows_text(r, i, ROW_ALIAS), key,
                                 key_alias, rows_text(r, i, ROW_USER), rows_text(r, i, ROW_EMAIL),
                                 t->is_model ? part : (struct str){0}}};
    metrics_read(&ret->m, r, i, ROW_METRICS);
}

static void put_json(struct jw *w, const struct row *row)
{
    jw_obj(w);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        jw_key(w, str_of(texts[i]));
        if (row->text[i].p)
            jw_put_str(w, row->text[i]);
        else
            jw_put_null(w);
    }
    jw_key(w, STR("spend"));
    jw_put_usd(w, row->m.usd[USD_spend]);
    jw_key(w, STR("flat_cost"));
    jw_put_raw(w, STR("0.0"));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        jw_key(w, metric_count_name(counts[i]));
        jw_put_i64(w, row->m.count[counts[i]]);
    }
    jw_end(w);
}

static void put_csv(struct csv *csv, const struct row *row)
{
    char usd[USD_TEXT];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        csv_put(csv, row->text[i]);
    csv_put_raw(csv, usd_text(usd, row->m.usd[USD_spend]));
    csv_put_raw(csv, STR("0.0"));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        csv_put_i64(csv, row->m.count[counts[i]]);
    csv_end(csv);
}

static void put_csv_head(struct csv *csv)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        csv_put(csv, str_of(texts[i]));
    csv_put(csv, STR("spend"));
    csv_put(csv, STR("flat_cost"));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        csv_put(csv, metric_count_name(counts[i]));
    csv_end(csv);
}

/* ---- all of them ---- */

static struct daily_statement statement(struct call *c, const struct type *t, enum daily_kind kind)
{
    const char *alias = aliases[kind] ? aliases[kind] : "NULL";
    struct arena *a = &c->arena;
    struct str columns = arena_printf(a, "coalesce(d.entity, '') AS entity, %s AS part", t->part);
    struct str outer = arena_printf(a, "SELECT k.*, %s, %s FROM k%s ORDER BY k.entity, k.part",
                                    alias, t->columns, t->join);

    return (struct daily_statement){columns.p, metrics_sums, "GROUP BY 1, 2", outer.p, DAILY_ROWS};
}

static void put_day(struct call *c, struct out *o, struct csv *csv, const struct daily_scope *sc,
                    const struct type *t, const struct daily_statement *st)
{
    struct tx *tx = &c->store.tx;
    struct rows r;
    struct row row;

    daily_open_cursor(&c->store, sc, st);
    while (out_wants(o) && (r = tx_fetch(tx, TX_PIECE)).n) {
        for (int i = 0; i < r.n; i++) {
            row_read(&row, c, t, sc->from, r, i);
            if (csv)
                put_csv(csv, &row);
            else
                put_json(&o->w, &row);
        }
    }
    tx_end_read_only(tx);
}

/* Days with rows, in the arena. */
static size_t days_of(struct call *c, const struct daily_scope *sc, struct str **ret)
{
    static const struct daily_statement st = {"DISTINCT d.date", NULL, "ORDER BY 1", NULL,
                                              DAILY_BY_CELL};
    struct rows r = DAILY_QUERY0(&c->store, sc, &st);
    struct str *days = arena_alloc(&c->arena, ((size_t)r.n + 1) * sizeof *days);

    for (int i = 0; days && i < r.n; i++)
        days[i] = arena_str(&c->arena, rows_text(r, i, 0));
    *ret = days;
    return days ? (size_t)r.n : 0;
}

static const struct type *type_asked(const struct call *c)
{
    size_t i = 0;

    while (!str_eq(types[i].name, in_text(c, "export_type")))
        i++; /* the field lists them */
    return &types[i];
}

void api_activity_export(struct call *c)
{
    const struct type *t = type_asked(c);
    struct str format = in_text(c, "format"), kind = activity_kind_name(c), *days;
    bool is_csv = str_eq(format, STR("csv"));
    struct daily_scope sc;
    struct out o;

    if (!activity_scope(c, true, &sc))
        return;
    report_begin(c);
    struct str name = arena_printf(
        &c->arena, STR_FMT "-usage-" STR_FMT "-" STR_FMT "-" STR_FMT "." STR_FMT, STR_ARG(kind),
        STR_ARG(sc.from), STR_ARG(sc.to), STR_ARG(t->name), STR_ARG(format));
    struct daily_statement st = statement(c, t, sc.kind);
    size_t n = days_of(c, &sc, &days);
    if (!tx_ok(&c->store.tx) || !arena_ok(&c->arena))
        return;
    out_begin_file(&o, c, is_csv ? STR("text/csv; charset=utf-8") : STR("application/json"), name);
    struct csv csv = csv_init(&o.w);
    if (is_csv)
        put_csv_head(&csv);
    else
        jw_arr(&o.w);
    for (size_t i = 0; i < n && out_wants(&o); i++) {
        sc.from = sc.to = days[i];
        put_day(c, &o, is_csv ? &csv : NULL, &sc, t, &st);
    }
    if (!is_csv)
        jw_end(&o.w);
    out_end(&o);
}
