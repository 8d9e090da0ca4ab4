#include "config.h"

#include "common/num.h"

static bool is_loopback(struct str host)
{
    return str_starts(host, STR("127.")) || str_eq(host, STR("::1"));
}

/* A list of the file, names of the environment replaced. */
static struct str list_json(struct config_file *f, const char *name)
{
    const struct conf_node *n = config_resolve(f, conf_get(f->root, str_of(name)));

    return n && n->kind == CONF_LIST ? conf_json(&f->arena, n) : (struct str){0};
}

/* [[id, deployment], ...] of model_list. */
static struct str models_json(struct config_file *f)
{
    const struct conf_node *list = conf_get(f->root, STR("model_list"));
    struct jw w = jw_init(&f->arena);

    jw_arr(&w);
    CONF_FOREACH(list, it)
    {
        struct str id = {0}, name = {0};
        const struct conf_node *params = conf_get(it, STR("litellm_params"));
        if (!params || !conf_text(NULL, conf_get(it, STR("model_name")), &name))
            continue;
        if (!conf_text(NULL, conf_get(conf_get(it, STR("model_info")), STR("id")), &id))
            id = config_deployment_id(f, name, params, STR(""));
        jw_arr(&w);
        jw_put_str(&w, id);
        conf_put_json(&w, config_resolve(f, it));
        jw_end(&w);
    }
    jw_end(&w);
    return jw_finish(&w);
}

static enum errc read_prices(struct config *c, struct err *e)
{
    struct str path = config_text(&c->file, SETTING_WEIR_model_price_map);
    enum errc rc = ERRC_OK;

    if (path.n)
        rc = price_map_load(&c->prices, arena_str(&c->file.arena, path).p, e);
    return rc ? err_wrap(e, "weir.model_price_map") : ERRC_OK;
}

/* "12:00" or "12:00:30". */
static bool is_time_of_day(struct str s)
{
    static const unsigned most[] = {23, 59, 59};
    uint32_t v;

    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        size_t n = s.n < 2 || s.p[1] == ':' ? 1 : 2;
        if (!num_u32((struct str){s.p, MIN(n, s.n)}, &v) || v > most[i])
            return false;
        s = str_from(s, n);
        if (!s.n)
            return i > 0;
        if (s.p[0] != ':')
            return false;
        s = str_from(s, 1);
    }
    return false;
}

static enum errc read_periods(struct config *c, struct err *e)
{
    struct config_file *f = &c->file;

    c->zone = config_text(f, SETTING_LITELLM_timezone);
    c->reset_time = config_text(f, SETTING_LITELLM_budget_reset_time);
    if (!is_time_of_day(c->reset_time))
        return err_set(e, ERRC_INVALID, 0,
                       "litellm_settings.budget_reset_time: not a 24-hour HH:MM or HH:MM:SS");
    return ERRC_OK;
}

static enum errc read_rest(struct config *c, struct err *e)
{
    struct config_file *f = &c->file;
    struct str salt = config_text(f, SETTING_ENV_LITELLM_SALT_KEY);
    struct str algorithm = config_text(f, SETTING_GENERAL_encryption_algorithm);

    if (!seal_key_init(&c->seal, salt.n ? salt : c->master_key))
        return err_set(e, ERRC_INVALID, 0, "LITELLM_SALT_KEY: it cannot be used");
    c->seal_format = str_ieq(algorithm, STR("aes-256-gcm")) ? SEAL_GCM2 : SEAL_BOX;
    c->stores_models = config_bool(f, SETTING_GENERAL_store_model_in_db) ||
                       config_bool(f, SETTING_ENV_STORE_MODEL_IN_DB);
    c->runs_jobs = config_bool(f, SETTING_WEIR_jobs);
    c->models = models_json(f);
    c->credentials = list_json(f, "credential_list");
    return read_prices(c, e);
}

static enum errc read_tls(struct config *c, struct err *e)
{
    struct config_file *f = &c->file;
    struct str cert = config_text(f, SETTING_WEIR_admin_certfile);
    struct str key = config_text(f, SETTING_WEIR_admin_keyfile);

    if (!cert.n != !key.n)
        return err_set(e, ERRC_INVALID, 0,
                       "weir.admin_certfile, weir.admin_keyfile: both, or none");
    if (cert.n) {
        c->certfile = arena_str(&f->arena, cert).p;
        c->keyfile = arena_str(&f->arena, key).p;
    }
    return ERRC_OK;
}

static enum errc read_databases(struct config *c, struct err *e)
{
    struct config_file *f = &c->file;
    struct str url =
        config_text(f, CONFIG_FIRST(f, SETTING_GENERAL_database_url, SETTING_ENV_DATABASE_URL));
    struct str replica = config_text(f, SETTING_ENV_DATABASE_URL_READ_REPLICA);

    if (!url.n)
        return err_set(e, ERRC_INVALID, 0,
                       "no database: set DATABASE_URL or general_settings.database_url");
    enum errc rc = db_url_read(&c->db, url, &f->arena, e);
    if (!rc && replica.n)
        rc = db_url_read(&c->replica, replica, &f->arena, e);
    return rc;
}

static enum errc read_values(struct config *c, struct err *e)
{
    struct config_file *f = &c->file;
    struct str host = config_text(f, SETTING_WEIR_admin_host);
    enum errc rc = read_databases(c, e);

    if (rc)
        return rc;
    c->master_key = config_file_master_key(f);
    if (!c->master_key.n && !is_loopback(host))
        return err_set(e, ERRC_INVALID, 0,
                       "weir.admin_host: without general_settings.master_key only a loopback "
                       "address");
    c->key_header = config_text(f, SETTING_GENERAL_litellm_key_header_name);
    c->root_path = config_text(f, SETTING_ENV_SERVER_ROOT_PATH);
    while (str_ends(c->root_path, STR("/")))
        c->root_path.n--;
    c->host = arena_str(&f->arena, host).p;
    rc = read_tls(c, e);
    if (rc)
        return rc;
    c->port = (uint16_t)config_u32(f, SETTING_WEIR_admin_port); /* bounded by the table */
    c->crud_threads = config_u32(f, SETTING_WEIR_admin_threads);
    c->report_threads = config_u32(f, SETTING_WEIR_report_threads);
    c->crud_conns = config_u32(f, SETTING_GENERAL_database_connection_pool_limit);
    if (!c->crud_conns)
        c->crud_conns = c->db.connection_limit ? c->db.connection_limit : c->crud_threads;
    c->crud_conns = MIN(c->crud_conns, 64);
    rc = read_rest(c, e);
    if (!rc)
        rc = read_periods(c, e);
    if (rc)
        return rc;
    return arena_ok(&f->arena) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "%s", f->path);
}

enum errc config_load(struct config **ret_c, const char *path, struct err *e)
{
    AUTO_FREE(config) struct config *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(e, ERRC_NOMEM, 0, "%s", path);
    enum errc rc = config_file_read(&c->file, path, config_environ, NULL, e);
    if (!rc)
        rc = config_file_verdict(&c->file, e);
    if (!rc)
        rc = read_values(c, e);
    if (!rc)
        *ret_c = TAKE(c);
    return rc;
}

struct config *config_free(struct config *c)
{
    if (c) {
        price_map_free(c->prices);
        config_file_deinit(&c->file);
    }
    free(c);
    return NULL;
}

const struct conf_node *config_map(const struct config *c, enum setting_id id)
{
    const struct conf_node *n = c->file.value[id];

    return n && n->kind == CONF_MAP ? n : NULL;
}
