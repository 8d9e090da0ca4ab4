#include "common/gateway/join.h"

#include <sodium.h>
#include <yyjson.h>

#include "common/jw.h"

enum { ADDRESS_MAX = 300, SOCKET_PATH_MAX = 100 };

#define IPC STR("ipc://")
#define TLS STR("tls+tcp://")

enum errc join_address(struct join *j, struct str address, struct arena *a, struct err *e)
{
    bool is_ipc = str_starts(address, IPC) && address.n > IPC.n;

    if (!is_ipc && !(str_starts(address, TLS) && address.n > TLS.n))
        return err_set(e, ERRC_INVALID, 0,
                       "an address of a control plane begins with ipc:// or tls+tcp://");
    if (is_ipc && address.n - IPC.n > SOCKET_PATH_MAX)
        return err_set(e, ERRC_INVALID, 0, "the path of a socket has at most %d bytes",
                       SOCKET_PATH_MAX);
    if (address.n > ADDRESS_MAX || !str_is_printable(address))
        return err_set(e, ERRC_INVALID, 0, "an address of a control plane is unusable");
    if (j->n_addresses == JOIN_ADDRESSES)
        return err_set(e, ERRC_LIMIT, 0, "more than %d addresses of control planes",
                       JOIN_ADDRESSES);
    const char *copy = arena_str(a, address).p;
    if (!copy)
        return err_set(e, ERRC_NOMEM, 0, "addresses of control planes");
    j->addresses[j->n_addresses++] = copy;
    return ERRC_OK;
}

bool join_wants_tls(const struct join *j)
{
    for (unsigned i = 0; i < j->n_addresses; i++)
        if (str_starts(str_of(j->addresses[i]), TLS))
            return true;
    return false;
}

/* NULL when it is no text, or one that a C string cannot hold. */
static const char *text_of(yyjson_val *root, const char *name, struct arena *a)
{
    yyjson_val *v = yyjson_obj_get(root, name);
    size_t n = yyjson_get_len(v);

    if (!yyjson_is_str(v) || n == 0 || strlen(yyjson_get_str(v)) != n)
        return NULL;
    return arena_str(a, (struct str){yyjson_get_str(v), n}).p;
}

static enum errc object_read(struct join *j, yyjson_val *root, struct arena *a, struct err *e)
{
    yyjson_val *one, *list = yyjson_obj_get(root, "addresses");
    size_t i, n;

    if (!yyjson_is_arr(list) || yyjson_arr_size(list) == 0)
        return err_set(e, ERRC_INVALID, 0, "WEIR_JOIN: it names no address");
    yyjson_arr_foreach(list, i, n, one)
    {
        struct str address = {yyjson_get_str(one), yyjson_get_len(one)};
        enum errc rc = join_address(j, address, a, e);
        if (rc)
            return err_wrap(e, "WEIR_JOIN");
    }
    j->ca = text_of(root, "ca", a);
    j->cert = text_of(root, "cert", a);
    j->key = text_of(root, "key", a);
    j->token = text_of(root, "token", a);
    if (join_wants_tls(j) && (!j->ca || !j->cert || !j->key))
        return err_set(e, ERRC_INVALID, 0, "WEIR_JOIN: ca, cert or key is missing");
    if (!j->token)
        return err_set(e, ERRC_INVALID, 0, "WEIR_JOIN: token is missing");
    return arena_ok(a) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "WEIR_JOIN");
}

enum errc join_read(struct join *ret_j, struct str text, struct arena *a, struct err *e)
{
    struct join j = {0};
    size_t n;

    text = str_trim(text);
    while (str_ends(text, STR("="))) /* padding is as good as none */
        text.n--;
    if (text.n > JOIN_MAX)
        return err_set(e, ERRC_INVALID, 0, "WEIR_JOIN: longer than %d bytes", JOIN_MAX);
    char *json = arena_alloc(a, text.n + 1);
    if (!json)
        return err_set(e, ERRC_NOMEM, 0, "WEIR_JOIN");
    if (sodium_base642bin((unsigned char *)json, text.n, text.p, text.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return err_set(e, ERRC_INVALID, 0, "WEIR_JOIN: it is not what weirctl join new printed");
    yyjson_doc *doc = yyjson_read(json, n, 0);
    enum errc rc =
        yyjson_is_obj(yyjson_doc_get_root(doc))
            ? object_read(&j, yyjson_doc_get_root(doc), a, e)
            : err_set(e, ERRC_INVALID, 0, "WEIR_JOIN: it is not what weirctl join new printed");
    yyjson_doc_free(doc);
    if (!rc)
        *ret_j = j;
    return rc;
}

struct str join_write(const struct join *j, struct arena *a)
{
    const struct {
        const char *name, *text;
    } members[] = {{"ca", j->ca}, {"cert", j->cert}, {"key", j->key}, {"token", j->token}};
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("addresses"));
    jw_arr(&w);
    for (unsigned i = 0; i < j->n_addresses; i++)
        jw_put_str(&w, str_of(j->addresses[i]));
    jw_end(&w);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (members[i].text) {
            jw_key(&w, str_of(members[i].name));
            jw_put_str(&w, str_of(members[i].text));
        }
    jw_end(&w);
    struct str json = jw_finish(&w);
    size_t cap = sodium_base64_ENCODED_LEN(json.n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char *text = arena_alloc(a, cap);
    if (!json.n || !text)
        return (struct str){0};
    sodium_bin2base64(text, cap, (const unsigned char *)json.p, json.n,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return (struct str){text, cap - 1};
}
