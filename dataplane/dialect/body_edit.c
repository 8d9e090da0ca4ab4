/*
 * Each edit turns into splices on the members the scan found. Removing members is where commas
 * matter: a run of removed members that starts an object goes up to the next key, any other goes
 * from its comma.
 *
 *   { "a":1 , "b":2 , "c":3 }      remove b:  from its comma to the end of 2
 *   { "a":1 , "b":2 , "c":3 }      remove a:  from "a" to "b"
 */

#include "dialect/body_edit.h"

#include "common/gateway/capability.h"
#include "common/jw.h"
#include "common/num.h"

#include "dialect/edit_scope.h"

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
    bool removed, renamed;
    struct str name;
    struct str value;    /* another JSON value, or empty */
    struct splice inner; /* of the client's value, when `with` is not empty */
};

struct plan {
    struct body_edit *b;
    const struct body_edit_options *o;
    struct fate *fate; /* of the client's members, then of those added, which have a value */
    uint32_t n;        /* of both */
    size_t n_drop;     /* of o->drop: all of them, or none on this body */
    uint64_t maybe;    /* bits of the names that are or were there */
};

/* Most names that edits ask for are not there: one bit says so. */
static uint64_t name_bit(struct str name)
{
    return name.n ? BIT64((name.n * 5 + (unsigned char)name.p[0]) % 64) : 1;
}

static struct str plan_value(const struct plan *p, uint32_t i)
{
    if (p->fate[i].value.n)
        return p->fate[i].value;
    const struct member *m = &p->b->scan->member[i];
    return (struct str){p->b->body + m->at, m->end - m->at};
}

/* The member named `name` that is still there, or NULL. */
static struct fate *plan_find(const struct plan *p, struct str name)
{
    if (!(p->maybe & name_bit(name)))
        return NULL;
    for (uint32_t i = 0; i < p->n; i++)
        if (!p->fate[i].removed && str_eq(p->fate[i].name, name))
            return &p->fate[i];
    return NULL;
}

static struct str quoted(struct arena *a, struct str s)
{
    struct jw w = jw_init(a);

    jw_put_str(&w, s);
    return jw_finish(&w);
}

static void plan_add(struct plan *p, struct str name, struct str json)
{
    p->fate[p->n++] = (struct fate){.name = name, .value = json};
    p->maybe |= name_bit(name);
}

/* A JSON number as 0.DIGITS * 10^exponent; digits have a point in them and end at anything else. */
struct decimal {
    const char *digit, *end;
    bool minus;
    int64_t exponent;
};

/* The next digit, 0 behind the last. */
static int decimal_next(struct decimal *d)
{
    d->digit += d->digit < d->end && *d->digit == '.';
    return d->digit < d->end && *d->digit >= '0' && *d->digit <= '9' ? *d->digit++ - '0' : 0;
}

static bool decimal_of(struct str s, struct decimal *ret)
{
    struct decimal d = {.minus = s.n && s.p[0] == '-'};
    bool point = false, significant = false;
    int64_t exponent;

    s = str_from(s, d.minus);
    if (!s.n || s.p[0] < '0' || s.p[0] > '9')
        return false;
    d.end = s.p + s.n;
    for (; s.n && s.p[0] != 'e' && s.p[0] != 'E'; s = str_from(s, 1)) {
        if (!significant && s.p[0] != '.' && s.p[0] != '0') {
            d.digit = s.p;
            significant = true;
        }
        point |= s.p[0] == '.';
        if (s.p[0] != '.')
            d.exponent += significant ? !point : -point;
    }
    s = str_from(s, 1);
    s = str_from(s, s.n && s.p[0] == '+');
    if (s.n && !num_i64(s, &exponent))
        exponent = s.p[0] == '-' ? INT32_MIN : INT32_MAX;
    if (s.n)
        d.exponent += MAX(INT32_MIN, MIN(INT32_MAX, exponent));
    if (!significant)
        d = (struct decimal){.digit = d.end, .end = d.end, .exponent = INT64_MIN}; /* zero */
    *ret = d;
    return true;
}

/* Below 0, 0 or above as a is less than, equal to or greater than b; *ret_known: both are numbers.
 */
static int number_order(struct str a, struct str b, bool *ret_known)
{
    struct decimal x, y;
    int order = 0;

    *ret_known = decimal_of(a, &x) && decimal_of(b, &y);
    if (!*ret_known)
        return 0;
    if (x.minus != y.minus)
        return x.minus ? -1 : 1;
    if (x.exponent != y.exponent)
        order = x.exponent < y.exponent ? -1 : 1;
    while (!order && (x.digit < x.end || y.digit < y.end)) {
        const char *const at[] = {x.digit, y.digit};
        order = decimal_next(&x) - decimal_next(&y);
        if (at[0] == x.digit && at[1] == y.digit)
            break; /* both at their exponents */
    }
    return x.minus ? -order : order;
}

static bool number_below(struct str a, struct str b)
{
    bool known;

    return number_order(a, b, &known) < 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The same JSON, blanks and the notation of numbers aside. */
static bool json_same(struct str a, struct str b)
{
    bool in_string = false;
    size_t i = 0, k = 0;
    bool numbers;
    int order = number_order(a, b, &numbers);

    if (numbers)
        return order == 0;
    for (;; i++, k++) {
        while (!in_string && i < a.n && is_blank(a.p[i]))
            i++;
        while (!in_string && k < b.n && is_blank(b.p[k]))
            k++;
        if (i == a.n || k == b.n)
            return i == a.n && k == b.n;
        if (a.p[i] != b.p[k])
            return false;
        if (a.p[i] == '\\' && i + 1 < a.n && k + 1 < b.n && a.p[i + 1] == b.p[k + 1])
            i++, k++;
        else if (a.p[i] == '"')
            in_string = !in_string;
    }
}

/* Applies one compiled edit to the top level. */
static void plan_edit(struct plan *p, enum edit_op op, struct str name, struct fate *f,
                      struct str b, struct str c)
{
    struct str value = f ? plan_value(p, (uint32_t)(f - p->fate)) : (struct str){0};

    switch (op) {
    case EDIT_RENAME: {
        struct fate *other = plan_find(p, b);
        if (other && other != f)
            other->removed = true;
        f->name = b;
        f->renamed = true;
        p->maybe |= name_bit(b);
        break;
    }
    case EDIT_DROP:
        f->removed = !b.n || json_same(value, b);
        break;
    case EDIT_UNSUPPORTED:
        f->removed = true;
        if (!p->o->drop_params && !str_eq(value, STR("null")) && !(b.n && json_same(value, b)))
            p->b->refused = p->b->refused.n ? arena_printf(p->b->arena, STR_FMT "', '" STR_FMT,
                                                           STR_ARG(p->b->refused), STR_ARG(name))
                                            : name;
        break;
    case EDIT_SET:
        if (f)
            f->value = b;
        else
            plan_add(p, name, b);
        break;
    case EDIT_DEFAULT:
        if (!f)
            plan_add(p, name, b);
        break;
    case EDIT_MAP:
        if (str_eq(b, STR("object")) ? value.p[0] == '{'
                                     : value.p[0] == '"' && json_text_is(value, b))
            f->value = c;
        break;
    case EDIT_MAX:
        if (number_below(b, value))
            f->value = b;
        break;
    case EDIT_MIN:
        if (number_below(value, b))
            f->value = b;
        break;
    case EDIT_STRIP:
    case EDIT_STRIP_NULL:
    case EDIT_FLATTEN:
    case EDIT_ROLE:
    case EDIT_OPS:
        break; /* below the top level: nested_edit.c */
    }
}

static bool listed(const struct str *list, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], name))
            return true;
    return false;
}

/* By the effort the body asks for; where it asks for none at all, by what the model does itself. */
static bool is_while(const struct plan *p, enum edit_while when)
{
    const bool nested = p->o->api == API_RESPONSES;
    const struct fate *f = plan_find(p, nested ? STR("reasoning") : STR("reasoning_effort"));
    struct str value = f ? plan_value(p, (uint32_t)(f - p->fate)) : (struct str){0};

    if (nested) { /* {"effort":"none"}, and hardly anything else */
        size_t at = str_find(value, STR("\"effort\""));
        value = at == SIZE_MAX ? (struct str){0} : str_from(value, at + STR("\"effort\"").n);
        while (value.n && (is_blank(value.p[0]) || value.p[0] == ':'))
            value = str_from(value, 1);
    }
    bool said = value.n && !str_starts(value, STR("null"));
    bool none = str_starts(value, STR("\"none\""));
    return when == EDIT_REASONING ? (said ? !none : !(p->o->can & CAP_SAMPLING)) : none;
}

/* What the request itself drops is gone before anything looks at it. */
static void plan_drops(struct plan *p)
{
    for (size_t i = 0; i < p->n_drop; i++) {
        struct fate *f = plan_find(p, p->o->drop[i]);
        if (f)
            f->removed = true;
    }
}

static void plan_edits(struct plan *p, const struct snapshot *s, const struct snap_deployment *d,
                       const struct edit_scope *scope)
{
    const struct body_edit_options *o = p->o;
    const struct snap_edit *e;

    for (uint32_t i = 0; (e = SNAP_AT(s, d->edits, struct snap_edit, i)); i++) {
        struct str name = snap_str(s, e->a);
        struct fate *f = plan_find(p, name);
        if (!f && e->op != EDIT_SET && e->op != EDIT_DEFAULT)
            continue;
        if ((e->op == EDIT_DEFAULT && listed(o->drop, p->n_drop, name)) ||
            (e->op == EDIT_UNSUPPORTED && listed(o->allow, o->n_allow, name)))
            continue;
        if (edit_applies(s, e, scope) &&
            (!e->only_while || is_while(p, (enum edit_while)e->only_while)))
            plan_edit(p, (enum edit_op)e->op, name, f, snap_str(s, e->b), snap_str(s, e->c));
    }
}

/* stream_options as the client sent it, with include_usage. */
static void plan_usage(struct plan *p, const struct member *m, struct fate *f)
{
    const struct request_scan *s = p->b->scan;
    uint64_t inside = m->at + 1;

    if (m->type != JSON_OBJECT) {
        f->value = STR("{\"include_usage\":true}");
    } else if (s->has_include_usage) {
        if (!s->include_usage)
            f->inner = (struct splice){s->include_usage_at, s->include_usage_end, STR("true")};
    } else {
        while (is_blank(p->b->body[inside]))
            inside++;
        f->inner = (struct splice){m->at + 1, m->at + 1,
                                   p->b->body[inside] == '}' ? STR("\"include_usage\":true")
                                                             : STR("\"include_usage\":true,")};
    }
}

/* The members of the gateway itself, the model, the usage a stream has to report. */
static void plan_own(struct plan *p)
{
    const struct request_scan *s = p->b->scan;

    for (uint32_t i = 0; i < s->n_members; i++) {
        enum field f = (enum field)s->member[i].field;
        p->fate[i].name = member_name(&s->member[i], p->b->body, p->b->arena);
        p->maybe |= name_bit(p->fate[i].name);
        switch (field_what(f, p->o->api)) {
        case FIELD_READ:
            break;
        case FIELD_OWN:
        case FIELD_REFUSE: /* refused before, or allowed and consumed */
        case FIELD_TRUSTED:
            p->fate[i].removed = true;
        }
        if (f == FIELD_MODEL && !p->o->keep_model)
            p->fate[i].value = quoted(p->b->arena, p->o->model);
        else if (f == FIELD_STREAM_OPTIONS && p->o->inject_usage)
            plan_usage(p, &s->member[i], &p->fate[i]);
        else if (f == FIELD_PREVIOUS_RESPONSE_ID && p->o->response_id.n)
            p->fate[i].value = quoted(p->b->arena, p->o->response_id);
    }
    if (p->o->inject_usage && !s->at[FIELD_STREAM_OPTIONS])
        plan_add(p, STR("stream_options"), STR("{\"include_usage\":true}"));
    if (!s->at[FIELD_MODEL] && !p->o->model_in_path && !p->o->keep_model)
        plan_add(p, STR("model"), quoted(p->b->arena, p->o->model));
}

/* Puts what was added in front of the client's first member; `comma`: some of those stay. */
static void plan_splice_added(struct plan *p, uint64_t object_at, bool comma)
{
    struct jw w = jw_init(p->b->arena);
    bool any = false;

    for (uint32_t i = p->b->scan->n_members; i < p->n; i++)
        any |= !p->fate[i].removed;
    if (!any)
        return;
    jw_obj(&w);
    for (uint32_t i = p->b->scan->n_members; i < p->n; i++)
        if (!p->fate[i].removed) {
            jw_key(&w, p->fate[i].name);
            jw_put_raw(&w, p->fate[i].value);
        }
    jw_end(&w);
    struct str object = jw_finish(&w);
    if (object.n < 2)
        return; /* no memory: the arena says so */
    splice_add(p->b, object_at + 1, object_at + 1, (struct str){object.p + 1, object.n - 2});
    if (comma)
        splice_add(p->b, object_at + 1, object_at + 1, STR(","));
}

/* The comma behind a value that ends at `at`: what stands between them stays. */
static uint64_t comma_after(const struct body_edit *b, uint64_t at)
{
    while (b->body[at] != ',')
        at++;
    return at;
}

/* Fates into splices, members in order; see the drawing above. */
static void plan_splice(struct plan *p, uint64_t object_at, const struct nested_splices *nested)
{
    struct body_edit *b = p->b;
    const struct request_scan *s = b->scan;
    uint32_t next = 0, stay = 0;
    bool kept = false; /* some member before this one stays */

    for (uint32_t i = 0; i < s->n_members; i++)
        stay += !p->fate[i].removed;
    plan_splice_added(p, object_at, stay > 0);
    for (uint32_t i = 0; i < s->n_members; i++) {
        const struct member *m = &s->member[i];
        const struct fate *f = &p->fate[i];
        bool last = i + 1 == s->n_members;
        uint32_t from = next;
        while (next < nested->n && nested->splice[next].at < m->end)
            next++;
        if (f->removed) {
            if (kept)
                splice_add(b, comma_after(b, m->prev_end), m->end, (struct str){0});
            else
                splice_add(b, m->key_at, last ? m->end : s->member[i + 1].key_at, (struct str){0});
            continue;
        }
        kept = true;
        if (f->renamed)
            splice_add(b, m->key_at, m->key_end, quoted(b->arena, f->name));
        if (f->value.n)
            splice_add(b, m->at, m->end, f->value);
        else if (f->inner.with.n)
            splice_add(b, f->inner.at, f->inner.end, f->inner.with);
        else
            for (; from < next; from++)
                splice_add(b, nested->splice[from].at, nested->splice[from].end,
                           nested->splice[from].with);
    }
}

enum body_edit_result body_edit_make(struct body_edit *b, const struct request_scan *scan,
                                     const char *body, size_t body_n, const struct snapshot *s,
                                     const struct snap_deployment *d,
                                     const struct body_edit_options *o, struct arena *a)
{
    const struct edit_scope scope = {.body = o->api,
                                     .client = o->client,
                                     .upstream = o->upstream,
                                     .model = o->model,
                                     .can = o->can};
    struct nested_splices nested = {0};

    *b = (struct body_edit){.arena = a, .body = body, .body_n = body_n, .scan = scan};
    /* each edit adds one member at most, plan_own() two */
    struct plan p = {
        .b = b,
        .o = o,
        .fate = arena_zalloc(a, ((size_t)scan->n_members + d->edits.n + 2) * sizeof *p.fate),
        .n = scan->n_members,
        .n_drop = edit_is_side(EDIT_OPENAI, &scope) ? o->n_drop : 0};
    if (!p.fate)
        return BODY_EDIT_LIMIT;
    plan_own(&p);
    plan_drops(&p);
    plan_edits(&p, s, d, &scope);
    if (b->refused.n)
        return BODY_EDIT_UNSUPPORTED;
    if (!nested_edit_make(&nested, scan, body, s, d, &scope, o->drop, p.n_drop, a))
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

struct body_edit body_edit_none(struct str body)
{
    return (struct body_edit){.body = body.p, .body_n = body.n, .length = body.n};
}

/* The bytes [at, end) of the body with what fills its holes; *next is the first hole not passed. */
static void emit_run(const struct body_edit *b, uint64_t at, uint64_t end, uint32_t *next,
                     body_piece_fn fn, void *ctx)
{
    while (*next < b->n_holes && b->hole[*next].at < at)
        (*next)++;
    for (; *next < b->n_holes && b->hole[*next].at < end; (*next)++) {
        const struct jout_hole *h = &b->hole[*next];
        if (h->at > at)
            fn(ctx, b->body + at, h->at - at);
        fn(ctx, h->text.p, h->text.n);
        at = h->at;
    }
    if (end > at)
        fn(ctx, b->body + at, end - at);
}

void body_edit_emit(const struct body_edit *b, body_piece_fn fn, void *ctx)
{
    uint64_t at = 0;
    uint32_t hole = 0;

    for (uint32_t i = 0; i < b->n; i++) {
        const struct splice *s = &b->splice[i];
        emit_run(b, at, s->at, &hole, fn, ctx);
        if (s->with.n)
            fn(ctx, s->with.p, s->with.n);
        at = s->end;
    }
    emit_run(b, at, b->body_n, &hole, fn, ctx);
}

static void add_length(void *ctx, const char *p, size_t n)
{
    uint64_t *length = ctx;

    (void)p;
    *length += n;
}

void body_edit_fill(struct body_edit *b, const struct jout_hole *hole, size_t n_holes)
{
    b->hole = hole;
    b->n_holes = (uint32_t)n_holes;
    b->length = 0;
    body_edit_emit(b, add_length, &b->length);
}
