/* What the data plane needs of config.yaml beyond its settings: a master key, prices, models. */

#include "link/config_priv.h"
#include "shared/transcripts.h"

uint16_t config_port(const struct config *c)
{
    return (uint16_t)config_u32(/* bounded by the table */
                                &c->file, CONFIG_FIRST(&c->file, SETTING_WEIR_port,
                                                       SETTING_ENV_PORT, SETTING_WEIR_port));
}

uint32_t config_workers(const struct config *c)
{
    uint32_t n = config_u32(&c->file, SETTING_WEIR_workers);

    return n ? n : config_u32(&c->file, SETTING_ENV_NUM_WORKERS);
}

uint64_t config_worker_memory(const struct config *c)
{
    /* What a worker takes before the first connection: text, loop, its region, slabs. */
    const uint64_t base = UINT64_C(8) << 20;
    /* A client connection with a request in flight: connection, arena, chain at its high-water
     * mark, and as much again for the upstream leg with its TLS buffers. */
    const uint64_t per_connection = 2 * (16 + 32) * 1024 + 40 * 1024;
    uint64_t bodies = (uint64_t)config_u32(&c->file, SETTING_WEIR_max_inflight_mb) << 20;

    uint64_t responses = (uint64_t)config_u32(&c->file, SETTING_WEIR_response_store_mb) << 20;
    /* what is to be stored while requests run, and its ring */
    uint64_t transcripts = config_stores_prompts(c) ? TRANSCRIPTS_HELD + TRANSCRIPT_RING : 0;

    return base + bodies + responses + transcripts +
           config_u32(&c->file, SETTING_WEIR_max_connections) * per_connection;
}

/* ---- the whole ---- */

static bool is_loopback(struct str host)
{
    return str_starts(host, STR("127.")) || str_eq(host, STR("::1")) ||
           str_eq(host, STR("localhost"));
}

/* Without a master key everybody who reaches the port is let in. */
static void check_master_key(struct config *c)
{
    const struct conf_node *host = c->file.value[SETTING_WEIR_host];

    if (config_file_master_key(&c->file).n)
        return;
    if (host && !is_loopback(host->text))
        conf_note(&c->file.log, CONF_ERROR, host,
                  "weir.host: without general_settings.master_key only a loopback address");
    else
        conf_note(&c->file.log, CONF_WARNING, NULL,
                  "no master key: everybody on this machine may call, nobody else "
                  "(general_settings.master_key, LITELLM_MASTER_KEY)");
}

struct config *config_free(struct config *c)
{
    if (!c)
        return NULL;
    c->prices = price_map_free(c->prices);
    config_file_deinit(&c->file);
    free(c);
    return NULL;
}

static void read_prices(struct config *c)
{
    const struct conf_node *n = c->file.value[SETTING_WEIR_model_price_map];
    struct err e = {0};

    if (n && price_map_load(&c->prices, arena_str(&c->file.arena, n->text).p, &e))
        conf_note(&c->file.log, CONF_ERROR, n, "model_price_map: %s", e.msg);
}

enum errc config_read_with(struct config **ret_c, const char *path, const struct config_row *rows,
                           size_t n_rows, config_env_fn env, void *ctx, struct err *e)
{
    AUTO_FREE(config) struct config *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(e, ERRC_NOMEM, 0, "%s", path);
    enum errc rc = config_file_read_with(&c->file, path, rows, n_rows, env, ctx, e);
    if (rc)
        return rc;
    check_master_key(c);
    read_prices(c);
    config_read_plane(c);
    config_read_trust(c);
    config_read_models(c);
    config_read_admin(c);
    config_file_mention_unbuilt(&c->file);
    if (!arena_ok(&c->file.arena))
        return err_set(e, ERRC_NOMEM, 0, "%s", path);
    *ret_c = TAKE(c);
    return ERRC_OK;
}

enum errc config_read(struct config **ret_c, const char *path, config_env_fn env, void *ctx,
                      struct err *e)
{
    return config_read_with(ret_c, path, NULL, 0, env, ctx, e);
}

enum errc config_load(struct config **ret_c, const char *path, config_env_fn env, void *ctx,
                      struct err *e)
{
    AUTO_FREE(config) struct config *c = NULL;
    enum errc rc = config_read(&c, path, env, ctx, e);

    if (!rc)
        rc = config_file_verdict(&c->file, e);
    if (!rc)
        *ret_c = TAKE(c);
    return rc;
}
