/*
 * Each edit turns into splices on the members the scan found. Removing members is where commas
 * matter: a run of removed members that starts an object goes up to the next key, any other goes
 * from the end of the member before.
 *
 *   { "a":1 , "b":2 , "c":3 }      remove b:  from the end of 1 to the end of 2
 *   { "a":1 , "b":2 , "c":3 }      remove a:  from "a" to "b"
 */

#include "dialect/body_edit.h"

#include "common/jw.h"
#include "common/num.h"

#include "provider/edit.h"

static void splice_add(struct body_edit *b, uint64_t at, uint64_t end, struct str with)
{
    if (b->n == b->cap) {
        uint32_t cap = b->cap ? b->cap * 2 : 16;
        struct splice *bigger =
            cap <= SPLICES_MAX ? arena_alloc(b->arena, cap * sizeof *bigger) : NULL;
        if (!bigger) {
            b->failed = true;
            return;
        }
        if (b->n)
            memcpy(bigger, b->splice, b->n * sizeof *bigger);
        b->splice = bigger;
        b->cap = cap;
    }
    b->splice[b->n++] = (struct splice){at, end, with};
}

/* What becomes of a member of the top level. Later decisions override earlier ones; removal stays.
 */
struct fate {
    bool removed;
    struct str key;   /* new key with quotes, or empty */
    struct str value; /* new JSON value, or empty */
};

struct plan {
    struct body_edit *b;
    const struct body_edit_options *o;
    struct fate *fate; /* one per member */
    struct str added;  /* members to put first: "k":v, ... each with its comma */
    struct jw extra;
};

static struct str key_of(const struct body_edit *b, const struct member *m)
{
    return (struct str){b->body + m->key_at + 1, m->key_end - m->key_at - 2};
}

static struct str value_of(const struct body_edit *b, const struct member *m)
{
    return (struct str){b->body + m->at, m->end - m->at};
}

/* The member named `name` that is still there, or -1. */
static int plan_find(const struct plan *p, struct str name)
{
    const struct request_scan *s = p->b->scan;

    for (uint32_t i = 0; i < s->n_members; i++) {
        struct str key =
            p->fate[i].key.n ? json_text_inner(p->fate[i].key) : key_of(p->b, &s->member[i]);
        if (key.n == name.n && !p->fate[i].removed && memcmp(key.p, name.p, key.n) == 0)
            return (int)i;
    }
    return -1;
}

static struct str quoted(struct arena *a, struct str s)
{
    struct jw w = jw_init(a);

    jw_put_str(&w, s);
    return jw_finish(&w);
}

/* Puts a member in front of the first: the object always keeps another one behind it, its model. */
static void plan_add(struct plan *p, struct str key, struct str json)
{
    struct arena *a = p->b->arena;

    p->added = arena_printf(a, STR_FMT STR_FMT ":" STR_FMT ",", STR_ARG(p->added),
                            STR_ARG(quoted(a, key)), STR_ARG(json));
}

/* a < b for two JSON numbers; false when one is none. */
static bool number_below(struct str a, struct str b)
{
    int64_t x, y;

    return num_scaled(a, 9, &x) && num_scaled(b, 9, &y) && x < y;
}

/* Applies one compiled edit to the top level; false: the request is refused for p->b->refused. */
static bool plan_edit(struct plan *p, enum edit_op op, struct str a, struct str b, struct str c)
{
    int i = plan_find(p, a);
    const struct member *m = i < 0 ? NULL : &p->b->scan->member[i];
    struct str value = !m                   ? (struct str){0}
                       : p->fate[i].value.n ? p->fate[i].value
                                            : value_of(p->b, m);

    switch (op) {
    case EDIT_RENAME: {
        int other = plan_find(p, b);
        if (m && other >= 0)
            p->fate[other].removed = true;
        if (m)
            p->fate[i].key = quoted(p->b->arena, b);
        break;
    }
    case EDIT_DROP:
        if (m)
            p->fate[i].removed = true;
        break;
    case EDIT_UNSUPPORTED:
        if (m && !p->o->drop_params && m->type != JSON_NULL) {
            p->b->refused = a;
            return false;
        }
        if (m)
            p->fate[i].removed = true;
        break;
    case EDIT_SET:
        if (m)
            p->fate[i].value = b;
        else
            plan_add(p, a, b);
        break;
    case EDIT_DEFAULT:
        if (!m)
            plan_add(p, a, b);
        break;
    case EDIT_MAP:
        if (m && (str_eq(b, STR("object")) ? m->type == JSON_OBJECT
                                           : m->type == JSON_STRING && json_text_is(value, b)))
            p->fate[i].value = c;
        break;
    case EDIT_MAX:
        if (m && m->type == JSON_NUMBER && number_below(b, value))
            p->fate[i].value = b;
        break;
    case EDIT_MIN:
        if (m && m->type == JSON_NUMBER && number_below(value, b))
            p->fate[i].value = b;
        break;
    case EDIT_STRIP:
    case EDIT_STRIP_NULL:
    case EDIT_FLATTEN:
    case EDIT_OPS:
        break; /* below the top level: nested_edit.c */
    }
    return true;
}

/* The members of the gateway itself, the model, the usage a stream has to report. */
static void plan_own(struct plan *p)
{
    const struct request_scan *s = p->b->scan;
    bool has_model = false;

    for (uint32_t i = 0; i < s->n_members; i++) {
        enum field f = (enum field)s->member[i].field;
        switch (field_what(f, p->o->api)) {
        case FIELD_READ:
            break;
        case FIELD_OWN:
        case FIELD_REFUSE: /* refused before, or allowed and consumed */
        case FIELD_TRUSTED:
            p->fate[i].removed = true;
        }
        if (f == FIELD_MODEL) {
            has_model = true;
            p->fate[i].value = quoted(p->b->arena, p->o->model);
        } else if (f == FIELD_STREAM_OPTIONS && p->o->inject_usage) {
            struct str v = value_of(p->b, &s->member[i]);
            if (s->member[i].type != JSON_OBJECT)
                p->fate[i].value = STR("{\"include_usage\":true}");
            else if (s->has_include_usage) /* the value alone, inside the object */
                p->fate[i].value = arena_printf(p->b->arena, STR_FMT "true" STR_FMT,
                                                (int)(s->include_usage_at - s->member[i].at), v.p,
                                                (int)(s->member[i].end - s->include_usage_end),
                                                p->b->body + s->include_usage_end);
            else
                p->fate[i].value = arena_printf(
                    p->b->arena, "{\"include_usage\":true%s" STR_FMT,
                    str_trim((struct str){v.p + 1, v.n - 2}).n ? "," : "", STR_ARG(str_from(v, 1)));
        } else if (f == FIELD_PREVIOUS_RESPONSE_ID && p->o->response_id.n) {
            p->fate[i].value = quoted(p->b->arena, p->o->response_id);
        }
    }
    if (p->o->inject_usage && !s->at[FIELD_STREAM_OPTIONS])
        plan_add(p, STR("stream_options"), STR("{\"include_usage\":true}"));
    if (!has_model && !p->o->model_in_path)
        plan_add(p, STR("model"), quoted(p->b->arena, p->o->model));
}

/* Fates into splices, members in order; see the drawing above. */
static void plan_splice(struct plan *p, uint64_t object_at, const struct nested_splices *nested)
{
    struct body_edit *b = p->b;
    const struct request_scan *s = b->scan;
    bool kept = false; /* some member before this one stays */
    uint32_t next_nested = 0;

    for (uint32_t i = 0; i < s->n_members; i++) {
        const struct member *m = &s->member[i];
        const struct fate *f = &p->fate[i];
        if (f->removed) {
            bool last = i + 1 == s->n_members;
            if (kept)
                splice_add(b, m->prev_end, m->end, (struct str){0});
            else
                splice_add(b, m->key_at, last ? m->end : s->member[i + 1].key_at, (struct str){0});
        } else {
            if (p->added.n && !kept)
                splice_add(b, m->key_at, m->key_at, p->added);
            if (f->key.n)
                splice_add(b, m->key_at, m->key_end, f->key);
            if (f->value.n)
                splice_add(b, m->at, m->end, f->value);
            kept = true;
        }
        for (; next_nested < nested->n && nested->splice[next_nested].at < m->end; next_nested++)
            if (!f->removed && !f->value.n)
                splice_add(b, nested->splice[next_nested].at, nested->splice[next_nested].end,
                           nested->splice[next_nested].with);
    }
    if (!kept && p->added.n) /* nothing of the client's stays: the last comma goes too */
        splice_add(b, object_at + 1, object_at + 1, (struct str){p->added.p, p->added.n - 1});
}

enum body_edit_result body_edit_make(struct body_edit *b, const struct request_scan *scan,
                                     const char *body, size_t body_n, const struct snapshot *s,
                                     const struct snap_deployment *d,
                                     const struct body_edit_options *o, struct arena *a)
{
    struct nested_splices nested = {0};

    *b = (struct body_edit){.arena = a, .body = body, .scan = scan};
    struct plan p = {
        .b = b, .o = o, .fate = arena_zalloc(a, (scan->n_members + 1) * sizeof *p.fate)};
    if (!p.fate)
        return BODY_EDIT_LIMIT;
    plan_own(&p);
    for (uint32_t i = 0; i < d->edits.n; i++) {
        const struct snap_edit *e = SNAP_AT(s, d->edits, struct snap_edit, i);
        if (!e || !model_matches(snap_str(s, e->when_model), o->model))
            continue;
        if (!plan_edit(&p, (enum edit_op)e->op, snap_str(s, e->a), snap_str(s, e->b),
                       snap_str(s, e->c)))
            return BODY_EDIT_UNSUPPORTED;
    }
    if (!nested_edit_make(&nested, scan, body, s, d, o->model, a))
        return BODY_EDIT_LIMIT;
    const char *open = memchr(body, '{', body_n);
    plan_splice(&p, open ? (uint64_t)(open - body) : 0, &nested);
    if (b->failed || !arena_ok(a))
        return BODY_EDIT_LIMIT;
    b->length = body_n;
    for (uint32_t i = 0; i < b->n; i++)
        b->length += b->splice[i].with.n - (b->splice[i].end - b->splice[i].at);
    return BODY_EDIT_OK;
}

void body_edit_emit(const struct body_edit *b, size_t body_n, body_piece_fn fn, void *ctx)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        const struct splice *s = &b->splice[i];
        if (s->at > at)
            fn(ctx, b->body + at, s->at - at);
        if (s->with.n)
            fn(ctx, s->with.p, s->with.n);
        at = s->end;
    }
    if (at < body_n)
        fn(ctx, b->body + at, body_n - at);
}
