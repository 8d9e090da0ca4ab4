#include "store/reconcile.h"

/* Nano-dollars of a double; no value there is makes the statement fail. */
#define NUSD(column) "(least(greatest(" column ", -9e9), 9e9) * 1e9)::bigint"
#define SUMS                                                                                       \
    "sum(" NUSD("spend") ") AS nusd, sum(prompt_tokens) AS prompt,"                                \
                         " sum(completion_tokens) AS completion"
/* The rows of a day ($1), read once: what they say of themselves in metadata is dear. Of the
 * caller's requests an exchange that was tried again is none. */
#define ROWS                                                                                       \
    "(SELECT *, CASE WHEN weir ->> 'retried' = 'true' THEN 0"                                      \
    "  ELSE coalesce((weir ->> 'exchanges')::bigint, 1) END AS requests FROM ("                    \
    "  SELECT *, metadata -> 'weir' AS weir FROM \"LiteLLM_SpendLogs\""                            \
    "  WHERE \"startTime\" >= $1::text::date AND \"startTime\" < $1::text::date + 1 OFFSET 0) w"   \
    " OFFSET 0) AS logs "
#define OF_ROWS                                                                                    \
    SUMS ", sum(requests) AS requests, sum(requests) FILTER (WHERE status = 'failure') AS failed"
#define OF_DAILY SUMS ", sum(api_requests) AS requests, sum(failed_requests) AS failed"

/* Of a day ($1): one side the rows, the other a daily table; by entity, key and model. */
#define ROWS_AND_DAILY(row_id, of_rows, table, column, of_daily)                                   \
    "WITH r AS (SELECT " row_id " AS id, api_key, model, " OF_ROWS "  FROM " ROWS of_rows          \
    " GROUP BY 1, 2, 3),"                                                                          \
    " d AS (SELECT coalesce(" column ", '') AS id, api_key, coalesce(model, '') AS model,"         \
    "  " OF_DAILY " FROM \"" table "\" WHERE date = $1::text" of_daily " GROUP BY 1, 2, 3)"        \
    " SELECT coalesce(r.id, d.id) || ' ' || coalesce(r.api_key, d.api_key) || ' '"                 \
    "  || coalesce(r.model, d.model), v.field, coalesce(v.expected, 0), coalesce(v.found, 0)"      \
    " FROM r FULL JOIN d ON r.id = d.id AND r.api_key = d.api_key AND r.model = d.model"           \
    " CROSS JOIN LATERAL (VALUES ('spend_nusd', r.nusd, d.nusd),"                                  \
    "  ('prompt_tokens', r.prompt, d.prompt), ('completion_tokens', r.completion, d.completion),"  \
    "  ('api_requests', r.requests, d.requests), ('failed_requests', r.failed, d.failed))"         \
    " AS v (field, expected, found) WHERE coalesce(v.expected, 0) <> coalesce(v.found, 0)"
#define SOME(row_id, table, column)                                                                \
    ROWS_AND_DAILY(row_id, "WHERE " row_id " <> ''", table, column,                                \
                   " AND coalesce(" column ", '') <> ''")
#define TAGS                                                                                       \
    "CROSS JOIN LATERAL (SELECT DISTINCT t FROM jsonb_array_elements_text("                        \
    " CASE jsonb_typeof(request_tags) WHEN 'array' THEN request_tags ELSE '[]' END) AS e (t)"      \
    " WHERE t <> '') AS tag (tag)"

static const struct {
    const char *kind;
    enum table daily;
    const char *column; /* of the rows, which older releases of LiteLLM may lack */
    const char *sql;
} days[] = {
    /* everybody has a line in the table of users, also who is none */
    {"user", TABLE_DAILY_USER, "user",
     ROWS_AND_DAILY("coalesce(\"user\", '')", "", "LiteLLM_DailyUserSpend", "user_id", "")},
    {"team", TABLE_DAILY_TEAM, "team_id", SOME("team_id", "LiteLLM_DailyTeamSpend", "team_id")},
    {"organization", TABLE_DAILY_ORGANIZATION, "organization_id",
     SOME("organization_id", "LiteLLM_DailyOrganizationSpend", "organization_id")},
    {"end_user", TABLE_DAILY_END_USER, "end_user",
     SOME("end_user", "LiteLLM_DailyEndUserSpend", "end_user_id")},
    {"tag", TABLE_DAILY_TAG, "request_tags",
     ROWS_AND_DAILY("tag", TAGS, "LiteLLM_DailyTagSpend", "tag", "")},
};

/* Of all days: one side the daily table, the other weir.total and what there was before it. In a
 * database that LiteLLM made it may write as well: then nothing may be missing. */
#define TOTALS(kind, table, id, some)                                                              \
    "WITH d AS (SELECT " id " AS id, " OF_DAILY " FROM \"" table "\" GROUP BY 1),"                 \
    " t AS (SELECT id, sum(spend_nusd) AS nusd, sum(requests) AS requests FROM ("                  \
    "  SELECT id, spend_nusd, requests FROM weir.total WHERE kind = '" kind "'"                    \
    "  UNION ALL SELECT id, spend_nusd, requests FROM weir.total_before"                           \
    "  WHERE kind = '" kind "') AS u GROUP BY 1)"                                                  \
    " SELECT coalesce(d.id, t.id), v.field, coalesce(v.expected, 0), coalesce(v.found, 0)"         \
    " FROM d FULL JOIN t ON d.id = t.id"                                                           \
    " CROSS JOIN LATERAL (VALUES ('spend_nusd', d.nusd, t.nusd),"                                  \
    "  ('api_requests', d.requests, t.requests)) AS v (field, expected, found)"                    \
    " WHERE " some " CASE WHEN " ADOPTED "  THEN coalesce(v.expected, 0) < coalesce(v.found, 0)"   \
    "  ELSE coalesce(v.expected, 0) <> coalesce(v.found, 0) END"
#define NAMED   "coalesce(d.id, t.id) <> '' AND"
#define ADOPTED "(SELECT bool_or(adopted) FROM weir.migration)"

static const struct {
    const char *kind;
    enum table daily;
    const char *sql;
} totals[] = {
    {"key", TABLE_DAILY_USER,
     TOTALS("key", "LiteLLM_DailyUserSpend", "api_key", "")}, /* '' among them: is all */
    {"user", TABLE_DAILY_USER, TOTALS("user", "LiteLLM_DailyUserSpend", "user_id", NAMED)},
    {"team", TABLE_DAILY_TEAM, TOTALS("team", "LiteLLM_DailyTeamSpend", "team_id", NAMED)},
    {"organization", TABLE_DAILY_ORGANIZATION,
     TOTALS("organization", "LiteLLM_DailyOrganizationSpend", "organization_id", NAMED)},
    {"end_user", TABLE_DAILY_END_USER,
     TOTALS("end_user", "LiteLLM_DailyEndUserSpend", "end_user_id", NAMED)},
    {"tag", TABLE_DAILY_TAG, TOTALS("tag", "LiteLLM_DailyTagSpend", "tag", NAMED)},
};

/* Of a day ($1): a daily table and its sums, where those are in use (0012_daily_sums.sql). */
#define SUMMED(kind, table, column)                                                                \
    "WITH g (grain) AS (SELECT v FROM (VALUES (1), (2), (3)) AS v (v) WHERE EXISTS (SELECT FROM"   \
    "  weir.daily_day WHERE kind = '" kind "' AND date = $1::text AND is_summed)),"                \
    " d AS (SELECT grain, CASE grain WHEN 1 THEN coalesce(model, '') WHEN 2 THEN"                  \
    "  coalesce(" column ", '') ELSE coalesce(" column ", '') || ' ' || api_key END AS id,"        \
    "  " OF_DAILY " FROM \"" table "\", g WHERE date = $1::text"                                   \
    "  AND api_key <> '__ptu_flat_cost__' GROUP BY 1, 2),"                                         \
    " s AS (SELECT grain, CASE grain WHEN 1 THEN coalesce(model, '') WHEN 2 THEN"                  \
    "  coalesce(entity, '') ELSE coalesce(entity, '') || ' ' || api_key END AS id,"                \
    "  " OF_DAILY " FROM weir.daily_sum JOIN g USING (grain) WHERE kind = '" kind "'"              \
    "  AND date = $1::text GROUP BY 1, 2)"                                                         \
    " SELECT id, v.field, coalesce(v.expected, 0), coalesce(v.found, 0)"                           \
    " FROM d FULL JOIN s USING (grain, id)"                                                        \
    " CROSS JOIN LATERAL (VALUES ('spend_nusd', d.nusd, s.nusd),"                                  \
    "  ('prompt_tokens', d.prompt, s.prompt), ('completion_tokens', d.completion, s.completion),"  \
    "  ('api_requests', d.requests, s.requests), ('failed_requests', d.failed, s.failed))"         \
    " AS v (field, expected, found) WHERE coalesce(v.expected, 0) <> coalesce(v.found, 0)"

static const struct {
    const char *kind;
    enum table daily;
    const char *sql;
} sums[] = {
    {"user", TABLE_DAILY_USER, SUMMED("user", "LiteLLM_DailyUserSpend", "user_id")},
    {"team", TABLE_DAILY_TEAM, SUMMED("team", "LiteLLM_DailyTeamSpend", "team_id")},
    {"organization", TABLE_DAILY_ORGANIZATION,
     SUMMED("organization", "LiteLLM_DailyOrganizationSpend", "organization_id")},
    {"end_user", TABLE_DAILY_END_USER,
     SUMMED("customer", "LiteLLM_DailyEndUserSpend", "end_user_id")},
    {"tag", TABLE_DAILY_TAG, SUMMED("tag", "LiteLLM_DailyTagSpend", "tag")},
};

/* ---- findings ---- */

void findings_init(struct findings *f, size_t max)
{
    *f = (struct findings){.max = max};
}

static void found(struct store *s, struct findings *f, const struct finding *one)
{
    f->total++;
    if (f->n == f->max)
        return;
    if (f->n == f->cap) {
        size_t cap = MAX(2 * f->cap, (size_t)64);
        struct finding *more = arena_alloc(s->arena, cap * sizeof *more);
        if (!more)
            return; /* sticks: the unit of work fails */
        if (f->n)
            memcpy(more, f->f, f->n * sizeof *more);
        f->f = more;
        f->cap = cap;
    }
    f->f[f->n++] = *one;
}

/* Rows of id, field, expected, found, and of how many there are. */
static void found_rows(struct store *s, struct findings *f, const char *check, struct str day,
                       const char *kind, struct rows r)
{
    for (int i = 0; i < r.n; i++)
        found(s, f,
              &(struct finding){check, day, str_of(kind), rows_text(r, i, 0), rows_text(r, i, 1),
                                rows_text(r, i, 2), rows_text(r, i, 3)});
    if (r.n)
        f->total += (uint64_t)(rows_int(r, 0, 4) - r.n);
}

enum { LIMIT = 200 }; /* findings of one statement: more are counted */

#define COUNTED(sql)                                                                               \
    "SELECT f.id, f.field, f.expected::text, f.found::text, count(*) OVER () FROM (" sql           \
    ") AS f (id, field, expected, found)"

/* ---- a day ---- */

static bool has(const struct store *s, enum table t, const char *column)
{
    return catalog_column(s->catalog, t, str_of(column)) != NULL;
}

/* Whether all rows of the day are still there. */
static bool is_kept(struct store *s, struct str day, bool jobs_are_ours)
{
    struct rows r =
        TX_QUERY(&s->tx,
                 "SELECT coalesce($1::text::date >= (SELECT kept_from FROM weir.retention), true)"
                 /* where LiteLLM deletes, the oldest day there is may lack some */
                 " AND ($2 OR coalesce($1::text::date > (SELECT min(\"startTime\") FROM "
                 "\"LiteLLM_SpendLogs\"),"
                 "  false))",
                 DB_TEXT(day), DB_BOOL(jobs_are_ours));

    return rows_bool(r, 0, 0);
}

static struct rows limited(struct store *s, const char *sql, const struct db_arg *args, int n)
{
    struct str all = arena_printf(s->arena, COUNTED("%s") " LIMIT %d", sql, LIMIT);

    return tx_query(&s->tx, all.p ? all.p : "", args, n);
}

int64_t reconcile_day(struct store *s, struct str day, bool jobs_are_ours, struct findings *f)
{
    struct db_arg args[] = {DB_TEXT(day)};

    if (!is_kept(s, day, jobs_are_ours))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(days) && tx_ok(&s->tx); i++)
        if (has(s, days[i].daily, "spend") && has(s, TABLE_SPEND_LOGS, days[i].column))
            found_rows(s, f, "rows_daily", day, days[i].kind, limited(s, days[i].sql, args, 1));
    for (size_t i = 0; i < ARRAY_LEN(sums) && tx_ok(&s->tx); i++)
        if (has(s, sums[i].daily, "spend"))
            found_rows(s, f, "daily_sums", day, sums[i].kind, limited(s, sums[i].sql, args, 1));
    return rows_int(
        TX_QUERY(&s->tx,
                 "SELECT count(*) FROM \"LiteLLM_SpendLogs\" WHERE"
                 " \"startTime\" >= $1::text::date AND \"startTime\" < $1::text::date + 1",
                 DB_TEXT(day)),
        0, 0);
}

/* ---- all days ---- */

/*
 * Rows there are, against records taken of spools. Rows of days that were counted stand in
 * weir.checked_day; those of days that were added to since are counted here, in the same statement.
 * A row that LiteLLM wrote is of no spool; one that came late, to a day of which none are kept, is
 * nowhere to be counted.
 */
#define TOUCHED                                                                                    \
    "touched AS (SELECT date AS day FROM \"LiteLLM_DailyUserSpend\" GROUP BY 1 HAVING"             \
    "  max(updated_at) AT TIME ZONE 'UTC' > coalesce((SELECT c.at FROM weir.checked_day c"         \
    "  WHERE c.day = date), '-infinity') - interval '10 minutes')"
#define ALL_KEPT                                                                                   \
    "NOT EXISTS (SELECT FROM touched WHERE day::date < (SELECT kept_from FROM weir.retention))"
#define ROWS_AND_SPOOLS                                                                            \
    "WITH " TOUCHED                                                                                \
    ", now_there AS (SELECT coalesce(sum(n), 0) AS n FROM touched t CROSS JOIN LATERAL ("          \
    "  SELECT count(*) AS n FROM \"LiteLLM_SpendLogs\" WHERE \"startTime\" >= t.day::date"         \
    "  AND \"startTime\" < t.day::date + 1) AS l),"                                                \
    " counted AS (SELECT coalesce(sum(rows), 0) AS n FROM weir.checked_day"                        \
    "  WHERE day NOT IN (SELECT day FROM touched)),"                                               \
    " taken AS (SELECT coalesce(sum(records - refused), 0) AS n FROM weir.spool)"                  \
    " SELECT 'all', 'rows', taken.n, counted.n + now_there.n FROM taken, counted, now_there"       \
    " WHERE NOT " ADOPTED " AND taken.n <> counted.n + now_there.n"                                \
    " AND " ALL_KEPT

/* The same of those who have no daily table: by what was kept of days that were checked. */
#define ROWS_AND_TOTALS                                                                            \
    "WITH " TOUCHED ", r AS (SELECT kind, id, sum(spend_nusd) AS nusd FROM ("                      \
    "  SELECT kind, id, spend_nusd FROM weir.checked_sum WHERE day NOT IN (SELECT day FROM"        \
    "   touched) UNION ALL SELECT l.* FROM touched t CROSS JOIN LATERAL weir.sums_of_day(t.day)"   \
    "   AS l WHERE NOT " ADOPTED ") AS u GROUP BY 1, 2),"                                          \
    " t AS (SELECT kind, id, spend_nusd AS nusd FROM weir.total WHERE kind IN ('member',"          \
    "  'organization_member', 'project'))"                                                         \
    " SELECT coalesce(r.kind || ' ' || r.id, t.kind || ' ' || t.id), 'spend_nusd',"                \
    "  coalesce(r.nusd, 0), coalesce(t.nusd, 0) FROM r FULL JOIN t ON r.kind = t.kind"             \
    "  AND r.id = t.id WHERE NOT " ADOPTED " AND coalesce(r.nusd, 0) <> coalesce(t.nusd, 0)"       \
    " AND NOT EXISTS (SELECT FROM weir.checked_day WHERE rows > 0 AND NOT is_summed"               \
    "  AND day NOT IN (SELECT day FROM touched)) AND " ALL_KEPT

void reconcile_totals(struct store *s, struct findings *f)
{
    for (size_t i = 0; i < ARRAY_LEN(totals) && tx_ok(&s->tx); i++)
        if (has(s, totals[i].daily, "spend"))
            found_rows(s, f, "daily_totals", STR(""), totals[i].kind,
                       limited(s, totals[i].sql, NULL, 0));
    found_rows(s, f, "rows_totals", STR(""), "other", limited(s, ROWS_AND_TOTALS, NULL, 0));
    found_rows(s, f, "rows_spools", STR(""), "spool", limited(s, ROWS_AND_SPOOLS, NULL, 0));
}

void reconcile_spools(struct store *s, struct findings *f)
{
    static const char sql[] =
        "SELECT encode(spool, 'hex'), 'gaps', 0, count(*) FROM weir.spool_gap GROUP BY 1"
        " UNION ALL SELECT encode(spool, 'hex'), 'refused', 0, count(*)"
        " FROM weir.spool_refused GROUP BY 1"
        " UNION ALL SELECT encode(id, 'hex'), 'damaged', 0, damaged FROM weir.spool"
        " WHERE damaged > 0";

    found_rows(s, f, "spools", STR(""), "spool", limited(s, sql, NULL, 0));
}

/* ---- which day ---- */

struct str reconcile_next_day(struct store *s)
{
    struct rows r = TX_QUERY0(
        &s->tx,
        "SELECT d.day FROM (SELECT date AS day, max(updated_at) AT TIME ZONE 'UTC' AS at"
        "  FROM \"LiteLLM_DailyUserSpend\" WHERE date ~ '^\\d{4}-[01]\\d-[0-3]\\d$' GROUP BY 1"
        "  UNION ALL SELECT to_char(now() AT TIME ZONE 'UTC' - n * interval '1 day', 'YYYY-MM-DD'),"
        "  now() FROM generate_series(0, 1) AS n) AS d"
        " LEFT JOIN weir.checked_day c ON c.day = d.day"
        " WHERE (c.day IS NULL OR (d.at > c.at - interval '10 minutes'"
        "  AND c.at < now() - interval '50 minutes'))"
        /* what LiteLLM did before us is not ours to judge */
        " AND d.day > coalesce((SELECT to_char(min(at) AT TIME ZONE 'UTC', 'YYYY-MM-DD')"
        "  FROM weir.migration HAVING bool_or(adopted)), '')"
        " ORDER BY d.day DESC LIMIT 1");

    return rows_text(r, 0, 0);
}

struct str reconcile_oldest_day(struct store *s)
{
    return rows_text(TX_QUERY0(&s->tx, "SELECT day FROM weir.checked_day"
                                       " WHERE at < now() - interval '1 day' ORDER BY at LIMIT 1"),
                     0, 0);
}

void reconcile_day_done(struct store *s, struct str day, int64_t rows)
{
    /* of a day whose rows are gone what was counted stays */
    (void)TX_QUERY(&s->tx,
                   "INSERT INTO weir.checked_day AS c (day, at, rows, is_summed) VALUES ($1,"
                   " now(), greatest($2, 0), $2 >= 0) ON CONFLICT (day) DO UPDATE SET"
                   " at = excluded.at, is_summed = c.is_summed OR excluded.is_summed,"
                   " rows = CASE WHEN $2 < 0 THEN c.rows ELSE excluded.rows END",
                   DB_TEXT(day), DB_INT(rows));
    if (rows < 0)
        return;
    (void)TX_QUERY(&s->tx, "DELETE FROM weir.checked_sum WHERE day = $1", DB_TEXT(day));
    (void)TX_QUERY(&s->tx,
                   "INSERT INTO weir.checked_sum SELECT $1, l.* FROM weir.sums_of_day($1) AS l"
                   " WHERE NOT " ADOPTED,
                   DB_TEXT(day));
}

/* ---- weir.difference ---- */

void reconcile_keep(struct store *s, const char *const *checks, size_t n_checks, struct str day,
                    const struct findings *f)
{
    enum { CHECK, KIND, ID, FIELD, EXPECTED, FOUND, COLUMNS };
    struct str *column[COLUMNS], names[8];

    ASSERT(n_checks <= ARRAY_LEN(names));
    for (size_t i = 0; i < n_checks; i++)
        names[i] = str_of(checks[i]);
    for (unsigned k = 0; k < COLUMNS; k++)
        if (!(column[k] = arena_alloc(s->arena, (f->n + 1) * sizeof **column)))
            return; /* sticks */
    for (size_t i = 0; i < f->n; i++) {
        const struct finding *one = &f->f[i];
        const struct str cells[COLUMNS] = {str_of(one->check), one->kind,     one->id,
                                           one->field,         one->expected, one->found};
        for (unsigned k = 0; k < COLUMNS; k++)
            column[k][i] = cells[k];
    }
    if (f->n)
        (void)TX_QUERY(
            &s->tx,
            "INSERT INTO weir.difference AS d (\"check\", day, kind, entity, field, expected,"
            "  found, first_at, last_at) SELECT c, $1, k, i, f, e::numeric, n::numeric, now(),"
            "  now() FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
            "  $7::text[]) AS u (c, k, i, f, e, n) ON CONFLICT (\"check\", day, kind, entity, "
            "field)"
            " DO UPDATE SET expected = excluded.expected, found = excluded.found,"
            "  last_at = now(), gone_at = NULL",
            DB_TEXT(day), DB_TEXTS(column[CHECK], f->n), DB_TEXTS(column[KIND], f->n),
            DB_TEXTS(column[ID], f->n), DB_TEXTS(column[FIELD], f->n),
            DB_TEXTS(column[EXPECTED], f->n), DB_TEXTS(column[FOUND], f->n));
    if (f->total == f->n) /* else some were found that are not among them */
        (void)TX_QUERY(&s->tx,
                       "UPDATE weir.difference SET gone_at = now() WHERE day = $1"
                       " AND \"check\" = ANY ($2::text[]) AND gone_at IS NULL AND last_at < now()",
                       DB_TEXT(day), DB_TEXTS(names, n_checks));
}
