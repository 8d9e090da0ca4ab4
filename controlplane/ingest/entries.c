/*
 * weir.log_series, weir.log, weir.log_delta, weir.log_delta_tag. Each says of a record what
 * weir.log_added() says of its row: whoever changes or deletes the row takes that out again.
 */

#include "ingest/entries.h"

#include "common/digest.h"

#include "ingest/tally.h"

enum { HOUR_MS = 3600 * 1000 };

#define DIMENSIONS                                                                                 \
    "api_key, \"user\", team_id, organization_id, model, model_group, model_id,"                   \
    " custom_llm_provider, call_type, status, cache_hit, key_alias, error_code, error_class,"      \
    " has_error"

/* The texts of series_key(). */
static const char series_sql[] =
    "WITH d AS MATERIALIZED (SELECT n, weir.log_hash(ROW(" DIMENSIONS ")::text) AS id, " DIMENSIONS
    " FROM (SELECT n, api_key, \"user\", team_id, organization_id, model, model_group, model_id,"
    "  custom_llm_provider, call_type,"
    "  CASE code WHEN '' THEN 'success' ELSE 'failure' END AS status, 'False' AS cache_hit,"
    "  nullif(alias, '') AS key_alias, nullif(code, '') AS error_code,"
    "  nullif(class, '') AS error_class, code <> '' AS has_error"
    "  FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
    "   $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[])"
    "   WITH ORDINALITY AS u (api_key, \"user\", team_id, organization_id, model, model_group,"
    "   model_id, custom_llm_provider, call_type, alias, code, class, n)) x),"
    " new AS (INSERT INTO weir.log_series (id, " DIMENSIONS ") SELECT id, " DIMENSIONS
    "  FROM d ORDER BY id ON CONFLICT DO NOTHING)"
    " SELECT id FROM d ORDER BY n";

enum { SERIES_KEY = 12 };
static_assert((int)SERIES_KEY <= (int)TALLY_KEY_MAX, "a tally's key");

/* ---- series ---- */

/* What is the same for all, or follows from the rest, is left to the statement. */
static void series_key(const struct spent *s, struct str key[static SERIES_KEY], struct arena *a)
{
    const struct str none = {"", 0};
    struct str code = s->is_failure ? arena_printf(a, "%u", spent_error_status(s)) : none;
    const struct str texts[SERIES_KEY] = {
        s->key,          s->user,     s->team,
        s->organization, s->model,    s->group,
        s->deployment,   s->provider, spent_call_type(s),
        s->key_alias,    code,        s->is_failure ? spent_error_class(s) : none};

    memcpy(key, texts, sizeof texts);
}

/* That of each record. */
static void find_series(struct tx *tx, struct spent *const *s, size_t n)
{
    struct str key[SERIES_KEY];
    struct db_arg args[SERIES_KEY];
    struct tally t;

    tally_init(&t, tx->arena, SERIES_KEY);
    for (size_t i = 0; i < n; i++) {
        series_key(s[i], key, tx->arena);
        s[i]->series = (int64_t)tally_add(&t, key, s[i]);
    }
    for (unsigned i = 0; i < SERIES_KEY; i++)
        args[i] = tally_keys(tx->arena, t.rows, t.n, i);
    struct rows r = tx_query(tx, series_sql, args, SERIES_KEY);
    int64_t *ids = arena_alloc(tx->arena, (t.n + 1) * sizeof *ids);
    for (size_t i = 0; ids && i < t.n; i++)
        ids[i] = rows_int(r, (int)i, 0);
    for (size_t i = 0; ids && i < n; i++)
        s[i]->series = ids[s[i]->series];
}

/* ---- entries ---- */

static void put_call(struct copy *copy, struct str call_id)
{
    uint64_t hash;

    if (!call_id.n) {
        copy_null(copy);
        return;
    }
    if (!md5_head(&hash, call_id))
        copy->tx->fault = DB_NOMEM;
    else
        copy_i64(copy, (int64_t)hash);
}

static void put_entries(struct tx *tx, struct copy *copy, struct spent *const *s, size_t n)
{
    copy_begin(copy, tx,
               "COPY weir.log (at, series, spend, call_id, total_tokens, end_user, request_id,"
               " error) FROM STDIN (FORMAT binary)");
    for (size_t i = 0; i < n && tx_ok(tx); i++) {
        copy_row(copy, 8);
        copy_timestamp(copy, s[i]->start_ms);
        copy_i64(copy, s[i]->series);
        copy_f64(copy, (double)s[i]->nusd / 1e9);
        put_call(copy, s[i]->call_id);
        copy_i32(copy, s[i]->prompt + s[i]->completion);
        copy_text(copy, s[i]->end_user);
        copy_text(copy, s[i]->id);
        if (s[i]->is_failure)
            copy_text(copy, s[i]->error);
        else
            copy_null(copy);
    }
    copy_end(copy);
}

/* ---- sums ---- */

/* A number as a text of a key. */
#define RAW(v) ((struct str){(const char *)&(v), sizeof(v)})

static void put_sums(struct tx *tx, struct copy *copy, struct spent *const *s, size_t n)
{
    struct tally t;

    tally_init(&t, tx->arena, 3);
    for (size_t i = 0; i < n; i++) {
        s[i]->hour = s[i]->start_ms / HOUR_MS;
        const struct str key[] = {RAW(s[i]->series), RAW(s[i]->hour), s[i]->end_user};
        (void)tally_add(&t, key, s[i]);
    }
    copy_begin(copy, tx,
               "COPY weir.log_delta (hour, day, series, end_user, n, spend, prompt_tokens,"
               " completion_tokens, total_tokens) FROM STDIN (FORMAT binary)");
    for (size_t i = 0; i < t.n && tx_ok(tx); i++) {
        const struct tally_row *r = &t.rows[i];
        copy_row(copy, 9);
        copy_timestamp(copy, r->last->hour * HOUR_MS);
        copy_date(copy, r->last->day);
        copy_i64(copy, r->last->series);
        copy_text(copy, r->last->end_user);
        copy_i64(copy, r->sum[SUM_ROWS]);
        copy_f64(copy, (double)r->sum[SUM_NUSD] / 1e9);
        copy_i64(copy, r->sum[SUM_ROW_PROMPT]);
        copy_i64(copy, r->sum[SUM_ROW_COMPLETION]);
        copy_i64(copy, r->sum[SUM_ROW_TOTAL]);
    }
    copy_end(copy);
}

static void put_tags(struct tx *tx, struct copy *copy, struct spent *const *s, size_t n)
{
    struct tally t;

    tally_init(&t, tx->arena, 4);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < s[i]->n_tags; k++) {
            const struct str key[] = {RAW(s[i]->day), s[i]->tags[k], s[i]->user, s[i]->team};
            (void)tally_add(&t, key, s[i]);
        }
    if (!t.n)
        return;
    copy_begin(copy, tx,
               "COPY weir.log_delta_tag (day, tag, \"user\", team_id, n, spend)"
               " FROM STDIN (FORMAT binary)");
    for (size_t i = 0; i < t.n && tx_ok(tx); i++) {
        const struct tally_row *r = &t.rows[i];
        copy_row(copy, 6);
        copy_date(copy, r->last->day);
        copy_text(copy, r->key[1]);
        copy_text(copy, r->key[2]);
        copy_text(copy, r->key[3]);
        copy_i64(copy, r->sum[SUM_ROWS]);
        copy_f64(copy, (double)r->sum[SUM_NUSD] / 1e9);
    }
    copy_end(copy);
}

void entries_add(struct tx *tx, struct copy *copy, struct spent *const *s, size_t n)
{
    if (!tx_ok(tx))
        return;
    find_series(tx, s, n);
    put_entries(tx, copy, s, n);
    put_sums(tx, copy, s, n);
    put_tags(tx, copy, s, n);
    if (!arena_ok(tx->arena))
        tx->fault = DB_NOMEM;
    tx_forget(tx);
    arena_reset(tx->arena);
}
