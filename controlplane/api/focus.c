/*
 * Spend in FOCUS (FinOps Open Cost and Usage Specification 1.2), by day, key, model and team:
 * columns and values as LiteLLM's FOCUS exports have them, but the billing period is the calendar
 * month, and an amount keeps all its digits.
 */

#include "common/clock.h"

#include "analytics/csv.h"
#include "analytics/metrics.h"
#include "analytics/range.h"
#include "api/report.h"

/* Columns of the query, in its order. */
enum source {
    NOTHING, /* null */
    FIXED,   /* the same in every row */
    COST,
    REQUESTS,
    DAY,
    NEXT_DAY,
    MONTH,
    NEXT_MONTH,
    TAGS,
    SUB_ACCOUNT_TYPE, /* where there is a sub-account */
    KEY,              /* from here on a column of the query */
    KEY_ALIAS,
    MODEL,
    MODEL_GROUP,
    PROVIDER,
    TEAM,
    TEAM_ALIAS,
};

static const struct focus_column {
    struct str name;
    enum source from;
    struct str text;
} columns[] = {
    {STR_INIT("BilledCost"), COST, {0}},
    {STR_INIT("BillingAccountId"), KEY, {0}},
    {STR_INIT("BillingAccountName"), KEY_ALIAS, {0}},
    {STR_INIT("BillingAccountType"), FIXED, STR_INIT("API Key")},
    {STR_INIT("BillingCurrency"), FIXED, STR_INIT("USD")},
    {STR_INIT("BillingPeriodEnd"), NEXT_MONTH, {0}},
    {STR_INIT("BillingPeriodStart"), MONTH, {0}},
    {STR_INIT("ChargeCategory"), FIXED, STR_INIT("Usage")},
    {STR_INIT("ChargeClass"), NOTHING, {0}},
    {STR_INIT("ChargeDescription"), MODEL, {0}},
    {STR_INIT("ChargeFrequency"), FIXED, STR_INIT("Usage-Based")},
    {STR_INIT("ChargePeriodEnd"), NEXT_DAY, {0}},
    {STR_INIT("ChargePeriodStart"), DAY, {0}},
    {STR_INIT("ConsumedQuantity"), REQUESTS, {0}},
    {STR_INIT("ConsumedUnit"), FIXED, STR_INIT("Requests")},
    {STR_INIT("ContractedCost"), COST, {0}},
    {STR_INIT("ContractedUnitPrice"), NOTHING, {0}},
    {STR_INIT("EffectiveCost"), COST, {0}},
    {STR_INIT("InvoiceIssuerName"), PROVIDER, {0}},
    {STR_INIT("InvoiceId"), NOTHING, {0}},
    {STR_INIT("ListCost"), COST, {0}},
    {STR_INIT("ListUnitPrice"), NOTHING, {0}},
    {STR_INIT("AvailabilityZone"), NOTHING, {0}},
    {STR_INIT("PricingCurrency"), FIXED, STR_INIT("USD")},
    {STR_INIT("PricingCategory"), NOTHING, {0}},
    {STR_INIT("PricingQuantity"), REQUESTS, {0}},
    {STR_INIT("PricingUnit"), FIXED, STR_INIT("Requests")},
    {STR_INIT("ProviderName"), PROVIDER, {0}},
    {STR_INIT("PublisherName"), PROVIDER, {0}},
    {STR_INIT("RegionId"), NOTHING, {0}},
    {STR_INIT("RegionName"), NOTHING, {0}},
    {STR_INIT("ResourceId"), MODEL, {0}},
    {STR_INIT("ResourceName"), MODEL, {0}},
    {STR_INIT("ResourceType"), MODEL, {0}},
    {STR_INIT("ServiceCategory"), FIXED, STR_INIT("AI and Machine Learning")},
    {STR_INIT("ServiceSubcategory"), FIXED, STR_INIT("Generative AI")},
    {STR_INIT("ServiceName"), MODEL_GROUP, {0}},
    {STR_INIT("SubAccountId"), TEAM, {0}},
    {STR_INIT("SubAccountName"), TEAM_ALIAS, {0}},
    {STR_INIT("SubAccountType"), SUB_ACCOUNT_TYPE, {0}},
    {STR_INIT("Tags"), TAGS, {0}},
};

/* A row of the file: what is not a column of the query. */
struct row {
    struct rows r;
    int i;
    struct str cost, requests, day, next_day, month, next_month;
};

enum { COL_COST, COL_REQUESTS, COL_TAGS, COL_FIRST /* KEY */ };

static struct str value(const struct row *row, const struct focus_column *col)
{
    switch (col->from) {
    case NOTHING:
        return (struct str){0};
    case FIXED:
        return col->text;
    case COST:
        return row->cost;
    case REQUESTS:
        return row->requests;
    case DAY:
        return row->day;
    case NEXT_DAY:
        return row->next_day;
    case MONTH:
        return row->month;
    case NEXT_MONTH:
        return row->next_month;
    case TAGS:
        return rows_text(row->r, row->i, COL_TAGS);
    case SUB_ACCOUNT_TYPE:
        return rows_is_null(row->r, row->i, COL_FIRST + TEAM - KEY) ? (struct str){0} : STR("Team");
    case KEY:
    case KEY_ALIAS:
    case MODEL:
    case MODEL_GROUP:
    case PROVIDER:
    case TEAM:
    case TEAM_ALIAS:
        break;
    }
    return rows_text(row->r, row->i, COL_FIRST + (int)col->from - KEY);
}

static bool is_number(enum source from)
{
    return from == COST || from == REQUESTS;
}

static void put_row(struct out *o, struct csv *csv, const struct row *row)
{
    if (!csv)
        jw_obj(&o->w);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        const struct focus_column *col = &columns[i];
        struct str v = value(row, col);
        if (csv) {
            if (is_number(col->from))
                csv_put_raw(csv, v);
            else
                csv_put(csv, v);
            continue;
        }
        jw_key(&o->w, col->name);
        if (!v.p)
            jw_put_null(&o->w);
        else if (is_number(col->from) || col->from == TAGS)
            jw_put_raw(&o->w, v);
        else
            jw_put_str(&o->w, v);
    }
    if (csv)
        csv_end(csv);
    else
        jw_end(&o->w);
}

static struct str moment(struct arena *a, int32_t day)
{
    return arena_printf(a, STR_FMT "T00:00:00Z", STR_ARG(day_text(a, day)));
}

/* The first day of the month `months` on from that of `day`. */
static int32_t month_of(struct arena *a, int32_t day, int months)
{
    struct str text = day_text(a, day);
    int32_t first = text.n ? day - 10 * (text.p[8] - '0') - (text.p[9] - '0') + 1 : day;

    return months ? month_of(a, first + 31, 0) : first;
}

/* Of a day. A key that is gone still says whose it was. */
static const char sql[] =
    "WITH k AS MATERIALIZED (SELECT d.api_key, coalesce(d.model, '') AS model,"
    "  coalesce(d.model_group, '') AS model_group, coalesce(d.custom_llm_provider, '') AS provider,"
    "  coalesce(d.user_id, '') AS user_id, sum(d.spend) AS spend, sum(d.api_requests) AS n"
    "  FROM \"LiteLLM_DailyUserSpend\" d WHERE d.date = $1 GROUP BY 1, 2, 3, 4, 5)"
    " SELECT k.spend, k.n, jsonb_strip_nulls(jsonb_build_object('team_id', t.team_id,"
    "  'team_alias', t.team_alias, 'organization_id', g.organization_id,"
    "  'organization_alias', g.organization_alias, 'user_id', nullif(k.user_id, ''),"
    "  'user_email', u.user_email, 'api_key_alias', o.key_alias, 'model', nullif(k.model, ''),"
    "  'model_group', nullif(k.model_group, ''),"
    "  'custom_llm_provider', nullif(k.provider, ''))),"
    " k.api_key, o.key_alias, nullif(k.model, ''), nullif(k.model_group, ''),"
    " nullif(k.provider, ''), coalesce(t.team_id, o.team_id), t.team_alias"
    " FROM k LEFT JOIN \"LiteLLM_VerificationToken\" v ON v.token = k.api_key"
    " LEFT JOIN LATERAL (SELECT d.key_alias, d.team_id, d.organization_id"
    "  FROM \"LiteLLM_DeletedVerificationToken\" d WHERE d.token = k.api_key"
    "  ORDER BY d.deleted_at DESC LIMIT 1) x ON v.token IS NULL"
    " CROSS JOIN LATERAL (SELECT coalesce(v.key_alias, x.key_alias), coalesce(v.team_id, "
    "x.team_id),"
    "  coalesce(v.organization_id, x.organization_id)) o(key_alias, team_id, organization_id)"
    " LEFT JOIN \"LiteLLM_TeamTable\" t ON t.team_id = o.team_id"
    " LEFT JOIN \"LiteLLM_UserTable\" u ON u.user_id = k.user_id"
    " LEFT JOIN \"LiteLLM_OrganizationTable\" g"
    "  ON g.organization_id = coalesce(o.organization_id, t.organization_id)"
    " ORDER BY k.api_key, k.model, k.model_group, k.provider, k.user_id";

static void put_day(struct call *c, struct out *o, struct csv *csv, int32_t day)
{
    struct arena *a = &c->arena;
    struct tx *tx = &c->store.tx;
    struct db_arg args[] = {DB_TEXT(day_text(a, day))};
    struct row row = {
        .day = moment(a, day),
        .next_day = moment(a, day + 1),
        .month = moment(a, month_of(a, day, 0)),
        .next_month = moment(a, month_of(a, day, 1)),
    };
    char usd[USD_TEXT];

    tx_open_cursor(tx, sql, args, ARRAY_LEN(args));
    while (out_wants(o) && (row.r = tx_fetch(tx, TX_PIECE)).n) {
        for (row.i = 0; row.i < row.r.n; row.i++) {
            row.cost = usd_text(usd, rows_num(row.r, row.i, COL_COST));
            row.requests = rows_text(row.r, row.i, COL_REQUESTS);
            put_row(o, csv, &row);
        }
    }
    tx_end_read_only(tx);
}

void api_focus_export(struct call *c)
{
    struct str format = in_text(c, "format");
    bool is_csv = str_eq(format, STR("csv"));
    struct day_range range;
    const char *why = range_read_bounded(&range, in_text(c, "start_date"), in_text(c, "end_date"));
    struct out o;

    if (why) {
        refuse(c, 400, "%s", why);
        return;
    }
    report_begin(c);
    out_begin_file(&o, c, is_csv ? STR("text/csv; charset=utf-8") : STR("application/json"),
                   arena_printf(&c->arena, "focus-" STR_FMT "-" STR_FMT "." STR_FMT,
                                STR_ARG(range.from), STR_ARG(range.to), STR_ARG(format)));
    struct csv csv = csv_init(&o.w);
    if (!is_csv)
        jw_arr(&o.w);
    for (size_t i = 0; is_csv && i < ARRAY_LEN(columns); i++)
        csv_put(&csv, columns[i].name);
    if (is_csv)
        csv_end(&csv);
    for (int32_t day = range.from_day; day <= range.to_day && out_wants(&o); day++)
        put_day(c, &o, is_csv ? &csv : NULL, day);
    if (!is_csv)
        jw_end(&o.w);
    out_end(&o);
}
