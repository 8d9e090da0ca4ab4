/*
 * A data plane's end of the session, for tests: each line of standard input is a request as JSON,
 * each answer a line of JSON (tests/support/plane.py).
 *
 *   plane_client ADDRESS [CA CERTIFICATE KEY]      PEM files
 *
 *   {"hello": {"protocol", "oldest", "version", "pod" (hex), "host", "config_hash", "token",
 * "epoch", "n"}}
 *   {"changes": {"epoch", "n", "cursor" (hex), "wait", "spool" (hex), "totals"}, "session": hex}
 *   {"status": {"workers", "requests", ...}, "session": hex}
 *   {"raw": hex}     any bytes as a request
 */

#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <nng/supplemental/tls/tls.h>
#include <yyjson.h>

#include "common/arena.h"
#include "common/jw.h"
#include "proto/weir.pb-c.h"

enum { TIMEOUT_MS = 12000, LINE_MAX_BYTES = 1 << 20 };

static bool is_printable(const uint8_t *p, size_t n)
{
    return str_is_utf8((struct str){(const char *)p, n}) && !memchr(p, '\0', n);
}

static struct str hex(struct arena *a, const uint8_t *p, size_t n)
{
    char *out = arena_alloc(a, 2 * n + 1);

    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", p[i]);
    return (struct str){out, 2 * n};
}

static uint8_t *unhex(struct arena *a, const char *s, size_t *ret_n)
{
    size_t n = s ? strlen(s) / 2 : 0;
    uint8_t *out = arena_alloc(a, n + 1);

    for (size_t i = 0; i < n; i++) {
        unsigned v = 0;
        (void)sscanf(s + 2 * i, "%2x", &v);
        out[i] = (uint8_t)v;
    }
    *ret_n = n;
    return out;
}

/* ---- any message as JSON ---- */

static void put_message(struct jw *w, const ProtobufCMessage *m);

static void put_value(struct jw *w, const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_BOOL:
        jw_put_bool(w, *(const protobuf_c_boolean *)at);
        break;
    case PROTOBUF_C_TYPE_STRING:
        jw_put_str(w, str_of(*(const char *const *)at));
        break;
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = at;
        bool is_text = is_printable(b->data, b->len) && strcmp(f->name, "cursor") != 0 &&
                       strcmp(f->name, "session") != 0;
        jw_put_str(w, is_text ? (struct str){(const char *)b->data, b->len}
                              : hex(w->arena, b->data, b->len));
        break;
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        put_message(w, *(const ProtobufCMessage *const *)at);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        jw_put_str(
            w, str_of(protobuf_c_enum_descriptor_get_value(f->descriptor, *(const int *)at)->name));
        break;
    case PROTOBUF_C_TYPE_UINT32:
        jw_put_u64(w, *(const uint32_t *)at);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        jw_put_u64(w, *(const uint64_t *)at);
        break;
    default:
        jw_put_i64(w, *(const int64_t *)at);
        break;
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
}

static bool is_set(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *at = (const char *)m + f->offset;

    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) == f->id;
    switch (f->type) {
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)(const void *)at)->len > 0;
    case PROTOBUF_C_TYPE_STRING:
        return **(const char *const *)(const void *)at != '\0';
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(const void *const *)(const void *)at != NULL;
    case PROTOBUF_C_TYPE_BOOL:
        return *(const protobuf_c_boolean *)(const void *)at;
    case PROTOBUF_C_TYPE_UINT32:
        return *(const uint32_t *)(const void *)at != 0;
    case PROTOBUF_C_TYPE_ENUM:
        return true;
    default:
        return *(const uint64_t *)(const void *)at != 0;
    }
}

static void put_message(struct jw *w, const ProtobufCMessage *m)
{
    jw_obj(w);
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *at = (const char *)m + f->offset;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
            if (!n)
                continue;
            jw_key(w, str_of(f->name));
            jw_arr(w);
            const char *items = *(const char *const *)(const void *)at;
            for (size_t k = 0; k < n; k++)
                put_value(w, f, items + k * size_of(f));
            jw_end(w);
        } else if (is_set(m, f)) {
            jw_key(w, str_of(f->name));
            put_value(w, f, at);
        }
    }
    jw_end(w);
}

/* ---- requests ---- */

static const char *text(yyjson_val *o, const char *name)
{
    const char *s = yyjson_get_str(yyjson_obj_get(o, name));

    return s ? s : "";
}

static uint64_t number(yyjson_val *o, const char *name)
{
    return yyjson_get_uint(yyjson_obj_get(o, name));
}

static ProtobufCBinaryData bytes(struct arena *a, yyjson_val *o, const char *name)
{
    ProtobufCBinaryData b = {0};

    b.data = unhex(a, text(o, name), &b.len);
    return b;
}

static uint8_t *request_of(yyjson_val *in, struct arena *a, size_t *ret_n)
{
    Weir__Request r;
    Weir__Hello hello;
    Weir__ChangesSince changes;
    Weir__Status status;
    Weir__Revision have;
    yyjson_val *o;

    if ((o = yyjson_obj_get(in, "raw")))
        return unhex(a, yyjson_get_str(o), ret_n);
    weir__request__init(&r);
    weir__hello__init(&hello);
    weir__changes_since__init(&changes);
    weir__status__init(&status);
    weir__revision__init(&have);
    if ((o = yyjson_obj_get(in, "hello"))) {
        r.is_case = WEIR__REQUEST__IS_HELLO;
        r.hello = &hello;
        hello.protocol = (uint32_t)number(o, "protocol");
        hello.oldest = (uint32_t)number(o, "oldest");
        hello.version = (char *)(uintptr_t)text(o, "version");
        hello.host = (char *)(uintptr_t)text(o, "host");
        hello.token = (char *)(uintptr_t)text(o, "token");
        hello.pod = bytes(a, o, "pod");
        const char *hash = text(o, "config_hash");
        hello.config_hash = (ProtobufCBinaryData){strlen(hash), (uint8_t *)(uintptr_t)hash};
        hello.have = &have;
    } else if ((o = yyjson_obj_get(in, "changes"))) {
        r.is_case = WEIR__REQUEST__IS_CHANGES;
        r.changes = &changes;
        changes.have = &have;
        changes.cursor = bytes(a, o, "cursor");
        changes.wait = yyjson_get_bool(yyjson_obj_get(o, "wait"));
        changes.spool = bytes(a, o, "spool");
        changes.totals = yyjson_get_uint(yyjson_obj_get(o, "totals"));
    } else if ((o = yyjson_obj_get(in, "status"))) {
        r.is_case = WEIR__REQUEST__IS_STATUS;
        r.status = &status;
        status.workers = (uint32_t)number(o, "workers");
        status.requests = number(o, "requests");
        status.in_flight = number(o, "in_flight");
        status.spool_bytes = number(o, "spool_bytes");
        status.resident_bytes = number(o, "resident_bytes");
        status.error = (char *)(uintptr_t)text(o, "error");
    }
    have.epoch = number(o, "epoch");
    have.n = number(o, "n");
    r.session = bytes(a, in, "session");
    *ret_n = weir__request__get_packed_size(&r);
    uint8_t *out = arena_alloc(a, *ret_n + 1);
    (void)weir__request__pack(&r, out);
    return out;
}

/* ---- the connection ---- */

static void say(const char *what, int rv)
{
    (void)printf("{\"error\":\"%s: %s\"}\n", what, nng_strerror(rv));
    (void)fflush(stdout);
}

static char *file_of(const char *path)
{
    char *p = calloc(1, 65536);
    FILE *f = fopen(path, "r");

    if (!p || !f || fread(p, 1, 65535, f) == 0)
        exit(2);
    (void)fclose(f);
    return p;
}

static int connect_to(nng_socket *s, char **argv, int argc)
{
    nng_dialer d;
    nng_tls_config *c = NULL;
    int rv = nng_req0_open(s);

    if (!rv)
        rv = nng_socket_set_ms(*s, NNG_OPT_RECVTIMEO, TIMEOUT_MS);
    if (!rv)
        rv = nng_socket_set_ms(*s, NNG_OPT_SENDTIMEO, TIMEOUT_MS);
    if (!rv)
        rv = nng_socket_set_size(*s, NNG_OPT_RECVMAXSZ, 64 << 20);
    if (!rv)
        rv = nng_dialer_create(&d, *s, argv[1]);
    if (!rv && strncmp(argv[1], "tls", 3) == 0) {
        rv = nng_tls_config_alloc(&c, NNG_TLS_MODE_CLIENT);
        if (!rv)
            rv = nng_tls_config_server_name(c, "weir-controlplane");
        if (!rv)
            rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED);
        if (!rv && argc > 2)
            rv = nng_tls_config_ca_chain(c, file_of(argv[2]), NULL);
        if (!rv && argc > 4)
            rv = nng_tls_config_own_cert(c, file_of(argv[3]), file_of(argv[4]), NULL);
        if (!rv)
            rv = nng_dialer_set_ptr(d, NNG_OPT_TLS_CONFIG, c);
    }
    return rv ? rv : nng_dialer_start(d, 0);
}

static void exchange(nng_socket s, uint8_t *p, size_t n)
{
    struct arena a;
    void *reply;
    size_t reply_n;
    int rv = nng_send(s, p, n, 0);

    if (rv) {
        say("send", rv);
        return;
    }
    rv = nng_recv(s, &reply, &reply_n, NNG_FLAG_ALLOC);
    if (rv) {
        say("receive", rv);
        return;
    }
    Weir__Reply *r = weir__reply__unpack(NULL, reply_n, reply);
    arena_init(&a, NULL, 512 << 20);
    if (r) {
        struct jw w = jw_init(&a);
        jw_obj(&w);
        jw_key(&w, STR("bytes"));
        jw_put_u64(&w, reply_n);
        jw_key(&w, STR("reply"));
        put_message(&w, &r->base);
        jw_end(&w);
        struct str json = jw_finish(&w);
        (void)printf(STR_FMT "\n", STR_ARG(json));
    } else {
        (void)printf("{\"error\":\"not a reply\"}\n");
    }
    (void)fflush(stdout);
    arena_reset(&a);
    if (r)
        weir__reply__free_unpacked(r, NULL);
    nng_free(reply, reply_n);
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    nng_socket s;
    int rv = argc < 2 ? NNG_EINVAL : connect_to(&s, argv, argc);

    if (rv) {
        say("connect", rv);
        return 1;
    }
    (void)printf("{\"connected\":true}\n");
    (void)fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        yyjson_doc *doc = yyjson_read(line, strlen(line), 0);
        struct arena a;
        size_t n = 0;
        arena_init(&a, NULL, 16 << 20);
        uint8_t *p = request_of(yyjson_doc_get_root(doc), &a, &n);
        exchange(s, p, n);
        arena_reset(&a);
        yyjson_doc_free(doc);
    }
    (void)nng_close(s);
    return 0;
}
