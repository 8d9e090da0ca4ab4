/* /weir/join: tokens with which data planes on other machines join. */

#include <sys/random.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/gateway/duration.h"
#include "common/gateway/join.h"
#include "common/num.h"

#include "api/reply.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"
#include "publish/authority.h"
#include "store/join.h"

enum { TOKEN = 32, DESCRIPTION_MAX = 1024 };

/* Nobody connects to these. */
static bool is_wildcard(struct str address)
{
    static const struct str hosts[] = {STR_INIT("tls+tcp://0.0.0.0:"), STR_INIT("tls+tcp://[::]:"),
                                       STR_INIT("tls+tcp://*:"), STR_INIT("tls+tcp://:")};

    for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
        if (str_starts(address, hosts[i]))
            return true;
    return false;
}

static bool add_address(struct call *c, struct join *j, struct str address)
{
    struct err e;

    if (join_address(j, address, &c->arena, &e) == ERRC_OK)
        return true;
    refuse_text(c, 400, "addresses: %s.", e.msg);
    return false;
}

/* Those sent, else those this control plane listens on. False with an answer. */
static bool find_addresses(struct call *c, struct join *j)
{
    const struct conf_node *listens = c->d->config->file.value[SETTING_WEIR_plane_listen];
    yyjson_mut_val *sent = in_val(c, "addresses"), *v;
    struct str address;
    size_t i, n;

    yyjson_mut_arr_foreach(sent, i, n, v)
    {
        if (!add_address(c, j, (struct str){yyjson_mut_get_str(v), yyjson_mut_get_len(v)}))
            return false;
    }
    for (uint32_t k = 0; !j->n_addresses && setting_name(listens, k, &address); k++)
        if (str_starts(address, STR("tls+tcp://")) && !is_wildcard(address) &&
            !add_address(c, j, address))
            return false;
    if (!join_wants_tls(j)) {
        refuse_text(c, 400,
                    "addresses: name at least one, as tls+tcp://HOST:PORT; weir.plane_listen of "
                    "this control plane has none that others can reach.");
        return false;
    }
    return true;
}

static bool find_expiry(struct call *c, int64_t *ret_us)
{
    struct str text = in_text(c, "duration");
    struct duration d;

    *ret_us = 0;
    if (!text.n)
        return true;
    if (!duration_parse(text, &d) || d.n == 0) {
        refuse_text(c, 400, "duration: write it as 12h or 30d.");
        return false;
    }
    *ret_us = duration_after(d, clock_wall_us());
    return true;
}

/* Authority, certificate and token; false with an answer or a fault. */
static bool make_secrets(struct call *c, struct join *j, struct str id, int64_t until_us)
{
    const struct config *config = c->d->config;
    unsigned char raw[TOKEN];
    char *token = arena_alloc(&c->arena, 2 * TOKEN + 1);
    struct authority authority;
    struct identity_pem own;
    struct err e = {0};

    if (!token || getrandom(raw, sizeof raw, 0) != sizeof raw)
        return false;
    token[num_put_hex(token, raw, sizeof raw)] = '\0';
    enum errc rc = authority_get(&authority, &c->store.tx, &config->seal, &c->arena, &e);
    if (!rc)
        rc = authority_sign(&own, &authority, AUTHORITY_CLIENT, id.p, until_us, &c->arena, &e);
    if (rc) {
        if (tx_ok(&c->store.tx))
            refuse_text(c, 500, "%s.", e.msg);
        return false;
    }
    j->ca = authority.certificate;
    j->cert = own.certificate;
    j->key = own.key;
    j->token = token;
    return true;
}

void api_join_new(struct call *c)
{
    struct store *s = &c->store;
    struct str id = store_uuid(s), description = in_text(c, "description"),
               addresses[JOIN_ADDRESSES];
    struct join j = {0};
    int64_t until_us;

    if (description.n > DESCRIPTION_MAX) {
        refuse_text(c, 400, "description: at most %d bytes.", DESCRIPTION_MAX);
        return;
    }
    if (!find_addresses(c, &j) || !find_expiry(c, &until_us) || !make_secrets(c, &j, id, until_us))
        return;
    for (unsigned i = 0; i < j.n_addresses; i++)
        addresses[i] = str_of(j.addresses[i]);
    yyjson_mut_val *row =
        join_insert(s, &(struct join_row){.id = id,
                                          .hash = sha256_hex(&c->arena, str_of(j.token)),
                                          .description = description,
                                          .created_by = audit_actor(c),
                                          .addresses = addresses,
                                          .n_addresses = j.n_addresses,
                                          .expires_us = until_us});
    struct str token = join_write(&j, &c->arena);
    yyjson_mut_val *out = row_new(s);
    if (!token.n)
        return;
    audit_created(c, TABLE_JOIN, id, row);
    row_put_text(s, out, "id", id);
    row_put_text(s, out, "token", token);
    row_put(s, out, "expires", row_val(row, "expires"));
    reply(c, out);
}

void api_join_list(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put(s, out, "joins", join_all(s));
    reply(c, out);
}

void api_join_revoke(struct call *c)
{
    struct str id = in_param(c, 0);
    yyjson_mut_val *row = join_revoke(&c->store, id);

    if (!row) {
        refuse_text(c, 404, "There is no token of that name, or it is revoked already.");
        return;
    }
    audit_deleted(c, TABLE_JOIN, id, row);
    reply(c, row);
}
