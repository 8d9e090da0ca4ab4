/* What a session keeps on disk. */

#include <errno.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/gateway/seal.h"
#include "common/log.h"

#include "link/name_file.h"
#include "link/session_priv.h"

enum { PARAMS_MAX = 1 << 20, PATH_LEN = 512 };

struct params *params_free(struct params *p)
{
    if (!p)
        return NULL;
    explicit_bzero(p->key, sizeof p->key);
    arena_reset(&p->arena);
    free(p);
    return NULL;
}

static const char *copy(struct arena *a, const char *text)
{
    return text ? arena_str(a, str_of(text)).p : NULL;
}

struct params *params_new(const struct session_config *c)
{
    AUTO_FREE(params) struct params *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    arena_init(&p->arena, NULL, PARAMS_MAX);
    p->join.n_addresses = c->join->n_addresses;
    for (unsigned i = 0; i < c->join->n_addresses; i++)
        p->join.addresses[i] = copy(&p->arena, c->join->addresses[i]);
    p->join.ca = copy(&p->arena, c->join->ca);
    p->join.cert = copy(&p->arena, c->join->cert);
    p->join.key = copy(&p->arena, c->join->key);
    p->join.token = copy(&p->arena, c->join->token);
    p->config_hash = arena_str(&p->arena, c->config_hash);
    struct seal_key seal;
    p->has_key =
        seal_key_init(&seal, c->secret) && seal_key_derive(&seal, "weir-last-good", p->key);
    explicit_bzero(&seal, sizeof seal);
    return arena_ok(&p->arena) ? TAKE(p) : NULL;
}

static bool path_of(char out[PATH_LEN], const struct session *s, const char *name)
{
    return snprintf(out, PATH_LEN, "%s/%s", s->o.state_dir, name) < PATH_LEN;
}

/* ---- the pod's name ---- */

void session_name_pod(struct session *s)
{
    char path[PATH_LEN];
    bool has_path = path_of(path, s, "pod");

    if (has_path && name_file_read(path, s->pod))
        return;
    (void)!getrandom(s->pod, POD_NAME, 0); /* so few bytes come whole once there are any */
    if (!has_path || !name_file_write(path, s->pod))
        log_warn("pod_not_named", "path=\"%s\" error=\"%s\" consequence=\"a new one each start\"",
                 path, strerror(errno));
}

/* ---- the last good state ---- */

bool session_load(struct session *s)
{
    char path[PATH_LEN];
    struct err e;

    if (!s->params->has_key) {
        log_warn("last_good_off", "why=\"neither LITELLM_SALT_KEY nor a master key to seal with\" "
                                  "consequence=\"no start without a control plane\"");
        return false;
    }
    if (!path_of(path, s, "identities"))
        return false;
    uint64_t begin_ns = clock_mono_ns();
    enum errc rc = directory_load(s->directory, path, s->params->key, &e);
    if (rc) {
        if (rc != ERRC_SYS || e.sys != ENOENT)
            log_warn("last_good_unusable", "error=\"%s\" consequence=\"ignored\"", e.msg);
        return false;
    }
    struct directory_revision r = directory_revision(s->directory);
    log_info("last_good_loaded", "epoch=%llu revision=%llu entities=%llu ms=%llu",
             (unsigned long long)r.epoch, (unsigned long long)r.n,
             (unsigned long long)directory_count(s->directory),
             (unsigned long long)((clock_mono_ns() - begin_ns) / 1000000));
    return true;
}

void session_save(struct session *s)
{
    char path[PATH_LEN];
    struct err e;

    if (!s->is_dirty || !s->params->has_key || !path_of(path, s, "identities"))
        return;
    s->saved_ns = clock_mono_ns();
    if (directory_save(s->directory, path, s->params->key, &e)) {
        log_error("last_good_not_saved", "error=\"%s\" consequence=\"tried again\"", e.msg);
        return;
    }
    s->is_dirty = false;
}
