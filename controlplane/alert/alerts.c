#include "alert/alerts.h"

#include <curl/curl.h>

#include "common/clock.h"
#include "common/jw.h"
#include "common/log.h"

#include "alert/send.h"
#include "api/route.h"
#include "background.h"
#include "config.h"
#include "daemon.h"
#include "store/tx.h"

enum {
    LOOK_MS = 2000,
    DEADLINE_MS = 10000,
    ARENA_MAX = 16 * 1024 * 1024,
    AT_ONCE = 20,
    TRIES = 5,
    BACK_OFF_S = 5, /* the first time, then four times as much each */
    KEPT_DAYS = 400,
};

struct alerts {
    const struct daemon *d;
    struct db *db;
    struct sender *sender;
    struct background thread;
    struct arena arena;                      /* of the texts below */
    const char *webhook, *slack, *proxy_url; /* NULL: none */
    struct mail_server mail;
    bool to_users;
    bool failed; /* of the database: it was said */
};

/* ---- one alert ---- */

static struct str member_text(yyjson_val *body, const char *name)
{
    yyjson_val *v = yyjson_obj_get(body, name);

    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

/* Who it is about, a line for each member, as LiteLLM's messages have it. */
static struct str about(yyjson_val *body, struct arena *a)
{
    static const char *const left_out[] = {"token", "event", "event_message"};
    struct str out = STR("");
    size_t i, n;
    yyjson_val *k, *v;

    yyjson_obj_foreach(body, i, n, k, v)
    {
        bool is_out = yyjson_is_null(v);
        for (size_t x = 0; x < ARRAY_LEN(left_out); x++)
            is_out |= yyjson_equals_str(k, left_out[x]);
        char *text = is_out ? NULL : yyjson_val_write(v, 0, NULL);
        if (!text)
            continue;
        bool is_text = yyjson_is_str(v);
        out = arena_printf(a, STR_FMT "*%s:* `%s`\n", STR_ARG(out), yyjson_get_str(k),
                           is_text ? yyjson_get_str(v) : text);
        free(text);
    }
    return out;
}

static struct str message(const struct alerts *al, yyjson_val *body, struct arena *a)
{
    struct tm tm;
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct str text = member_text(body, "event_message");

    (void)gmtime_r(&now, &tm);
    text =
        arena_printf(a,
                     "Alert type: `budget_alerts`\nLevel: `High`\nTimestamp: `%02d:%02d:%02d`\n\n"
                     "Message: " STR_FMT "\n\n" STR_FMT,
                     tm.tm_hour, tm.tm_min, tm.tm_sec, STR_ARG(text), STR_ARG(about(body, a)));
    if (al->proxy_url)
        text = arena_printf(a, STR_FMT "\n\nProxy URL: `%s`", STR_ARG(text), al->proxy_url);
    return text;
}

static enum errc send_slack(struct alerts *al, yyjson_val *body, struct arena *a, struct err *e)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("text"));
    jw_put_str(&w, message(al, body, a));
    jw_end(&w);
    return sender_post(al->sender, al->slack, jw_finish(&w), e);
}

static enum errc send_one(struct alerts *al, struct str channel, struct str receiver,
                          struct str json, struct arena *a, struct err *e)
{
    yyjson_doc *doc = yyjson_read(json.p, json.n, 0);
    yyjson_val *body = yyjson_doc_get_root(doc);
    enum errc rc = ERRC_INVALID;

    if (str_eq(channel, STR("webhook")) && al->webhook)
        rc = sender_post(al->sender, al->webhook, json, e);
    else if (str_eq(channel, STR("slack")) && al->slack)
        rc = send_slack(al, body, a, e);
    else if (str_eq(channel, STR("email")) && al->mail.host[0])
        rc = sender_mail(al->sender, &al->mail, receiver, "Soft Budget Crossed",
                         message(al, body, a), e);
    else
        rc = err_set(e, ERRC_INVALID, 0, "not configured any more");
    yyjson_doc_free(doc);
    return rc;
}

/* ---- a look ---- */

static void unit_begin(struct alerts *al, struct tx *tx, struct arena *a)
{
    struct db_wait w = background_wait(&al->thread, DEADLINE_MS);

    tx_init(tx, al->db, a, &w);
}

static void note(struct alerts *al, const struct tx *tx)
{
    bool failed = !tx_ok(tx) && tx->fault != DB_CANCELLED;

    if (failed && !al->failed)
        log_warn("alerts", "fault=%s what=\"%s\" consequence=\"alerts wait\"",
                 db_fault_name(tx->fault), tx->err.msg);
    al->failed = failed;
}

static void raise_alerts(struct alerts *al, struct arena *a)
{
    struct str channels[2];
    size_t n = 0;
    struct tx tx;

    if (al->webhook)
        channels[n++] = STR("webhook");
    if (al->slack)
        channels[n++] = STR("slack");
    unit_begin(al, &tx, a);
    tx_begin(&tx);
    (void)TX_QUERY(&tx, "SELECT weir.raise_alerts($1, $2, $3)", DB_TEXTS(channels, n),
                   DB_BOOL(al->mail.host[0] != '\0'), DB_BOOL(al->to_users));
    (void)TX_QUERY(&tx,
                   "DELETE FROM weir.alert WHERE at < now() - make_interval(days => $1)"
                   " AND period < now()",
                   DB_INT(KEPT_DAYS));
    (void)tx_commit(&tx); /* the fault sticks */
    note(al, &tx);
    tx_end(&tx);
}

/* Taken for a try: nobody else tries it until its next time. */
static struct rows claim(struct tx *tx)
{
    return TX_QUERY(
        tx,
        "UPDATE weir.alert_send s SET tries = s.tries + 1,"
        " due_at = now() + make_interval(secs => $1 * 4 ^ s.tries)"
        " FROM (SELECT alert, channel, receiver FROM weir.alert_send WHERE done_at IS NULL"
        " AND due_at <= now() AND tries < $2 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) d,"
        " weir.alert a WHERE s.alert = d.alert AND s.channel = d.channel"
        " AND s.receiver = d.receiver AND a.id = s.alert"
        " RETURNING s.alert, s.channel, s.receiver, s.tries, a.body::text, a.kind, a.entity",
        DB_INT(BACK_OFF_S), DB_INT(TRIES), DB_INT(AT_ONCE));
}

static void settle(struct tx *tx, struct rows r, int i, enum errc rc, const struct err *e)
{
    (void)TX_QUERY(tx,
                   "UPDATE weir.alert_send SET done_at = CASE WHEN $4 THEN now() END, error = $5"
                   " WHERE alert = $1::bigint AND channel = $2 AND receiver = $3",
                   DB_INT(rows_int(r, i, 0)), DB_TEXT(rows_text(r, i, 1)),
                   DB_TEXT(rows_text(r, i, 2)), DB_BOOL(rc == ERRC_OK),
                   rc ? DB_TEXT(str_of(e->msg)) : DB_NULL);
}

/* Sends what is due; true: there is more. Between claiming and settling no connection is held. */
static bool send_due(struct alerts *al, struct arena *a)
{
    struct arena texts;
    struct err e;
    struct tx tx;

    unit_begin(al, &tx, a);
    struct rows r = claim(&tx);
    note(al, &tx);
    int n = tx_ok(&tx) ? r.n : 0;
    arena_init(&texts, NULL, ARENA_MAX);
    for (int i = 0; i < n && background_goes_on(&al->thread); i++) {
        struct str channel = rows_text(r, i, 1), kind = rows_text(r, i, 5);
        enum errc rc = send_one(al, channel, rows_text(r, i, 2), rows_text(r, i, 4), &texts, &e);
        arena_reset(&texts);
        if (rc && background_goes_on(&al->thread))
            log_warn("alert_not_sent",
                     "channel=" STR_FMT " kind=" STR_FMT " try=%lld error=\"%s\""
                     " consequence=\"%s\"",
                     STR_ARG(channel), STR_ARG(kind), (long long)rows_int(r, i, 3), e.msg,
                     rows_int(r, i, 3) < TRIES ? "tried again" : "given up");
        struct tx done;
        struct arena small;
        arena_init(&small, NULL, ARENA_MAX);
        unit_begin(al, &done, &small);
        settle(&done, r, i, rc, &e);
        note(al, &done);
        tx_end(&done);
        arena_reset(&small);
    }
    tx_end(&tx);
    return n == AT_ONCE;
}

static void raise_and_send(void *ctx)
{
    struct alerts *al = ctx;
    bool more = false;

    while (background_goes_on(&al->thread)) {
        struct arena a;
        arena_init(&a, NULL, ARENA_MAX);
        raise_alerts(al, &a);
        arena_reset(&a);
        if (background_goes_on(&al->thread))
            more = send_due(al, &a);
        arena_reset(&a);
        background_pause(&al->thread, more ? 0 : LOOK_MS);
    }
}

/* ---- configuration ---- */

static bool has(const struct conf_node *list, const char *name)
{
    struct str s;

    for (uint32_t i = 0; setting_name(list, i, &s); i++)
        if (str_eq(s, str_of(name)))
            return true;
    return false;
}

/* NULL: empty. */
static const char *text_or_null(struct alerts *al, struct str s)
{
    return s.n ? arena_str(&al->arena, s).p : NULL;
}

static const char *text_of(struct alerts *al, enum setting_id id)
{
    return arena_str(&al->arena, config_text(&al->d->config->file, id)).p;
}

/* alert_to_webhook_url.budget_alerts, of several the first; else the environment's. */
static struct str slack_url(const struct config *c)
{
    const struct config_file *f = &c->file;
    const struct conf_node *map = config_map(c, SETTING_GENERAL_alert_to_webhook_url);
    struct str s;

    if (map && setting_name(conf_get(map, STR("budget_alerts")), 0, &s))
        return s;
    return config_text(
        f, CONFIG_FIRST(f, SETTING_ENV_SLACK_WEBHOOK_URL, SETTING_ENV_ALERTING_WEBHOOK_URL));
}

/* Whom to tell. False: nobody. */
static bool read_config(struct alerts *al)
{
    const struct config *c = al->d->config;
    const struct config_file *f = &c->file;
    const struct conf_node *alerting = f->value[SETTING_GENERAL_alerting];
    const struct conf_node *types = f->value[SETTING_GENERAL_alert_types];
    struct str first;
    bool wanted = !setting_name(types, 0, &first) || has(types, "budget_alerts");

    if (wanted && has(alerting, "webhook"))
        al->webhook = text_or_null(al, config_text(f, SETTING_ENV_WEBHOOK_URL));
    if (wanted && has(alerting, "slack"))
        al->slack = text_or_null(al, slack_url(c));
    al->proxy_url = text_or_null(al, config_text(f, SETTING_ENV_PROXY_BASE_URL));
    al->to_users = wanted && has(alerting, "email");
    al->mail = (struct mail_server){
        .host = text_of(al, SETTING_ENV_SMTP_HOST),
        .user = text_of(al, SETTING_ENV_SMTP_USERNAME),
        .password = text_of(al, SETTING_ENV_SMTP_PASSWORD),
        .sender = text_of(al, SETTING_ENV_SMTP_SENDER_EMAIL),
        .port = config_u32(f, SETTING_ENV_SMTP_PORT),
        .starts_tls = config_bool(f, SETTING_ENV_SMTP_TLS),
    };
    al->mail.is_tls = config_bool(f, SETTING_ENV_SMTP_USE_SSL) || al->mail.port == 465;
    if (!arena_ok(&al->arena))
        return false;
    if (has(alerting, "webhook") && wanted && !al->webhook)
        log_warn("alerts", "channel=webhook why=\"WEBHOOK_URL is not set\" consequence=\"off\"");
    if (has(alerting, "slack") && wanted && !al->slack)
        log_warn("alerts",
                 "channel=slack why=\"SLACK_WEBHOOK_URL is not set\" consequence=\"off\"");
    if (al->mail.host[0] && !al->mail.sender[0]) {
        log_warn("alerts",
                 "channel=email why=\"SMTP_SENDER_EMAIL is not set\" consequence=\"off\"");
        al->mail.host = "";
    }
    return al->webhook || al->slack || al->mail.host[0];
}

/* ---- its life ---- */

static enum errc open_all(struct alerts *al, struct err *e)
{
    struct db_options o = *db_options(al->d->db[LANE_CRUD]);

    o.name = "weir alerts";
    o.max_conns = 2; /* one lends the rows that are being sent */
    enum errc rc = curl_global_init(CURL_GLOBAL_DEFAULT)
                       ? err_set(e, ERRC_NOMEM, 0, "libcurl does not start")
                       : sender_new(&al->sender, &al->thread.ending,
                                    text_of(al, SETTING_ENV_SSL_CERT_FILE), e);

    if (!rc)
        rc = db_new(&al->db, &o, al->d->health, e);
    return rc ? rc : background_start(&al->thread, "weir-alerts", raise_and_send, al, e);
}

static void drop(struct alerts *al)
{
    al->db = db_free(al->db);
    al->sender = sender_free(al->sender);
    arena_reset(&al->arena);
    free(al);
}

enum errc alerts_new(struct alerts **ret_a, const struct daemon *d, struct err *e)
{
    struct alerts *al = d->config->runs_jobs ? calloc(1, sizeof *al) : NULL;

    *ret_a = NULL;
    if (!d->config->runs_jobs) /* a LiteLLM says it */
        return ERRC_OK;
    if (!al)
        return err_set(e, ERRC_NOMEM, 0, "alerts");
    al->d = d;
    arena_init(&al->arena, NULL, 256 * 1024);
    enum errc rc = ERRC_OK;
    bool any = read_config(al);
    if (any)
        rc = open_all(al, e);
    if (any && !rc)
        *ret_a = al;
    else
        drop(al);
    return rc;
}

struct alerts *alerts_free(struct alerts *al)
{
    if (!al)
        return NULL;
    background_end(&al->thread);
    drop(al);
    curl_global_cleanup();
    return NULL;
}
