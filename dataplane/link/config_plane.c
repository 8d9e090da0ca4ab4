/* Which control plane is asked: weir.control_plane, WEIR_CONTROL_PLANE, WEIR_JOIN. */

#include "link/config_priv.h"

static void add(struct config *c, const struct conf_node *at, struct str address)
{
    struct err e = {0};

    if (join_address(&c->plane, str_trim(address), &c->file.arena, &e))
        conf_note(&c->file.log, CONF_ERROR, at, STR_FMT ": %s", STR_ARG(at->key), e.msg);
}

void config_read_plane(struct config *c)
{
    const struct conf_node *join = c->file.value[SETTING_ENV_WEIR_JOIN];
    const struct conf_node *own = c->file.value[SETTING_WEIR_control_plane];
    const struct conf_node *env = c->file.value[SETTING_ENV_WEIR_CONTROL_PLANE];
    struct str one, rest;
    struct err e = {0};

    if (join && join_read(&c->plane, join->text, &c->file.arena, &e))
        conf_note(&c->file.log, CONF_ERROR, join, "%s", e.msg);
    if (own || env)
        c->plane.n_addresses = 0; /* those of the join are elsewhere */
    for (uint32_t i = 0; setting_name(own, i, &one); i++)
        add(c, own, one);
    for (rest = !own && env ? env->text : (struct str){0}; rest.n;) {
        (void)str_cut(rest, ',', &one, &rest);
        add(c, env, one);
    }
    if (join_wants_tls(&c->plane) && !c->plane.cert && !c->file.log.n_errors)
        conf_note(&c->file.log, CONF_ERROR, own ? own : env,
                  "control_plane: tls+tcp needs the certificates of WEIR_JOIN (weirctl join new)");
    if (config_stores_prompts(c) && !config_secret(c).n)
        conf_note(&c->file.log, CONF_ERROR,
                  c->file.value[SETTING_GENERAL_store_prompts_in_spend_logs],
                  "store_prompts_in_spend_logs: what seals them on their way is missing, "
                  "LITELLM_SALT_KEY or a master key");
}

bool config_stores_prompts(const struct config *c)
{
    return c->plane.n_addresses &&
           (config_bool(&c->file, SETTING_GENERAL_store_prompts_in_spend_logs) ||
            config_bool(&c->file, SETTING_ENV_STORE_PROMPTS_IN_SPEND_LOGS));
}

struct str config_secret(const struct config *c)
{
    struct str salt = config_text(&c->file, SETTING_ENV_LITELLM_SALT_KEY);

    return salt.n ? salt : config_file_master_key(&c->file);
}
