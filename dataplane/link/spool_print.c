/* UsageRecord as JSON: every field of the message under its name. */

#include "link/spool_print.h"

#include <protobuf-c/protobuf-c.h>

#include "common/arena.h"
#include "common/jw.h"

#include "link/spool.h"
#include "weir.pb-c.h"

struct printing {
    FILE *out;
    struct arena arena;
    uint64_t unreadable;
};

static void put_message(struct jw *w, const ProtobufCMessage *m);

static void put_field(struct jw *w, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    const char *at = (const char *)m + f->offset;

    jw_key(w, str_of(f->name));
    switch ((unsigned)f->type) { /* the types weir.proto uses */
    case PROTOBUF_C_TYPE_UINT32: {
        uint32_t v;
        memcpy(&v, at, sizeof v);
        jw_put_u64(w, v);
        return;
    }
    case PROTOBUF_C_TYPE_UINT64: {
        uint64_t v;
        memcpy(&v, at, sizeof v);
        jw_put_u64(w, v);
        return;
    }
    case PROTOBUF_C_TYPE_INT64: {
        int64_t v;
        memcpy(&v, at, sizeof v);
        jw_put_i64(w, v);
        return;
    }
    case PROTOBUF_C_TYPE_BOOL: {
        protobuf_c_boolean v;
        memcpy(&v, at, sizeof v);
        jw_put_bool(w, v != 0);
        return;
    }
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData v;
        memcpy(&v, at, sizeof v);
        jw_put_str(w, (struct str){(const char *)v.data, v.len});
        return;
    }
    case PROTOBUF_C_TYPE_MESSAGE: {
        const ProtobufCMessage *v;
        memcpy(&v, at, sizeof(void *));
        if (v)
            put_message(w, v);
        else
            jw_put_null(w);
        return;
    }
    default:
        jw_put_null(w);
    }
}

static void put_message(struct jw *w, const ProtobufCMessage *m)
{
    jw_obj(w);
    for (unsigned i = 0; i < m->descriptor->n_fields; i++)
        put_field(w, m, &m->descriptor->fields[i]);
    jw_end(w);
}

static void print_entry(void *ctx, const struct spool_entry *en)
{
    struct printing *p = ctx;
    Weir__UsageRecord *m = NULL;

    if (en->type == SPOOL_USAGE)
        m = weir__usage_record__unpack(NULL, en->body.n, (const uint8_t *)en->body.p);
    if (!m) {
        p->unreadable++;
        return;
    }
    struct jw w = jw_init(&p->arena);
    jw_obj(&w);
    jw_key(&w, STR("epoch"));
    jw_put_u64(&w, en->id.epoch);
    jw_key(&w, STR("region"));
    jw_put_u64(&w, en->id.region);
    jw_key(&w, STR("seq"));
    jw_put_u64(&w, en->id.seq);
    for (unsigned i = 0; i < m->base.descriptor->n_fields; i++)
        put_field(&w, &m->base, &m->base.descriptor->fields[i]);
    jw_end(&w);
    struct str line = jw_finish(&w);
    (void)fprintf(p->out, STR_FMT "\n", STR_ARG(line));
    arena_reset(&p->arena);
    weir__usage_record__free_unpacked(m, NULL);
}

int spool_print(const char *dir, FILE *out)
{
    struct printing p = {.out = out};
    struct err e;
    uint64_t bad;

    arena_init(&p.arena, NULL, 1 << 20);
    enum errc rc = spool_read(dir, print_entry, &p, &bad, &e);
    arena_reset(&p.arena);
    if (rc) {
        (void)fprintf(stderr, "weir-link: %s\n", e.msg);
        return 1;
    }
    if (bad + p.unreadable > 0)
        (void)fprintf(stderr, "weir-link: skipped %llu damaged places, %llu unreadable records\n",
                      (unsigned long long)bad, (unsigned long long)p.unreadable);
    return bad + p.unreadable > 0 || fflush(out) != 0;
}
