/* Cells to members. */

#include "publish/entity.h"

#include <yyjson.h>

#include "common/num.h"

enum {
    MODEL_LIMITS_MAX = 4096,   /* of one row; further ones are dropped */
    TAG_ENTITIES = 3 << 3 | 2, /* Changes.entities on the wire, */
    TAG_TOTALS = 5 << 3 | 2,   /* Changes.totals */
};

static const struct cell cells[] = {
#define FIELD(kind_, struct_, member_, type_, expression_)                                         \
    {.kind = ENTITY_##kind_,                                                                       \
     .type = CELL_##type_,                                                                         \
     .at = offsetof(Weir__##struct_, member_),                                                     \
     .expression = expression_},
#define LIMIT(kind_, member_, type_, expression_)                                                  \
    {.kind = ENTITY_##kind_,                                                                       \
     .in_limits = true,                                                                            \
     .type = CELL_##type_,                                                                         \
     .at = offsetof(Weir__Limits, member_),                                                        \
     .expression = expression_},
#include "publish/entities.def"
};

static const struct {
    const ProtobufCMessageDescriptor *message;
    const char *member;
    const char *key1, *key2;
} kinds[ENTITY_KINDS] = {
#define ENTITY(kind, table, struct_, member_, from, key1, key2, filter)                            \
    [ENTITY_##kind] = {&weir__##member_##__descriptor, #member_, key1, key2},
#include "publish/entities.def"
};

const struct cell *entity_cells(enum entity_kind k, size_t *ret_n)
{
    size_t first = 0, n = 0;

    while (cells[first].kind != k)
        first++; /* every kind has some */
    while (first + n < ARRAY_LEN(cells) && cells[first + n].kind == k)
        n++;
    *ret_n = n;
    return cells + first;
}

/* ---- values ---- */

struct reader { /* of one row */
    struct arena *a;
    const struct seal_key *seal;
    Weir__Limits *limits;
};

static void *member(void *message, size_t at)
{
    return (char *)message + at;
}

static ProtobufCBinaryData bytes_of(struct str s)
{
    return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

static bool hash_read(ProtobufCBinaryData *ret, struct str hex, struct arena *a)
{
    uint8_t *out = arena_alloc(a, 32);

    if (!out || hex.n != 64)
        return false;
    for (size_t i = 0; i < 64; i++) {
        const char *digits = "0123456789abcdef", *d = strchr(digits, char_lower(hex.p[i]));
        if (!d || !*d)
            return false;
        out[i / 2] = (uint8_t)(out[i / 2] << 4 | (d - digits));
    }
    *ret = (ProtobufCBinaryData){32, out};
    return true;
}

/* Dollars, as PostgreSQL prints a double; what is no number (NaN, Infinity) is none. */
static bool money_read(struct str s, int64_t *ret)
{
    return num_scaled(s, 9, ret);
}

static Weir__Bound *bound_of(int64_t v, struct arena *a)
{
    Weir__Bound *b = arena_alloc(a, sizeof *b);

    if (b) {
        weir__bound__init(b);
        b->value = v;
    }
    return b;
}

/* A repeated member: the pointer at `at`, its count right before it. */
static void repeated_set(void *message, size_t at, void *items, size_t n)
{
    *(void **)member(message, at) = n ? items : NULL;
    *(size_t *)member(message, at - sizeof(size_t)) = n;
}

static_assert(offsetof(Weir__Key, models) == offsetof(Weir__Key, n_models) + sizeof(size_t),
              "a count stands before its items");

/* One element of a text[] behind *at, unescaped; false at the end. NULLs are empty. */
static bool texts_next(struct str s, size_t *at, struct arena *a, struct str *ret)
{
    size_t i = *at, n = 0;

    if (i >= s.n || s.p[i] == '}')
        return false;
    char *out = arena_alloc(a, s.n - i + 1);
    if (!out)
        return false;
    bool quoted = s.p[i] == '"';
    for (i += quoted; i < s.n; i++) {
        if (quoted ? s.p[i] == '"' : s.p[i] == ',' || s.p[i] == '}')
            break;
        if (s.p[i] == '\\' && i + 1 < s.n)
            i++;
        out[n++] = s.p[i];
    }
    i += quoted;
    *at = i < s.n && s.p[i] == ',' ? i + 1 : i;
    *ret =
        !quoted && n == 4 && memcmp(out, "NULL", 4) == 0 ? (struct str){0} : (struct str){out, n};
    return true;
}

static void texts_read(void *message, size_t at, struct str s, struct arena *a)
{
    size_t from = 1, n = 0, most = 1;
    struct str one;

    if (s.n < 3) /* "{}" */
        return;
    for (size_t i = 0; i < s.n; i++)
        most += s.p[i] == ',';
    ProtobufCBinaryData *list = arena_alloc(a, most * sizeof *list);
    while (list && n < most && texts_next(s, &from, a, &one))
        if (one.n)
            list[n++] = bytes_of(one);
    repeated_set(message, at, list, n);
}

/* ---- JSON ---- */

static struct str text_of(yyjson_val *v)
{
    return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
}

/* An object; one inside a text, as some writers store it, counts too. NULL: there is nothing. */
static yyjson_doc *object_read(struct str s)
{
    yyjson_doc *doc = s.n > 2 ? yyjson_read(s.p, s.n, 0) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);

    if (yyjson_is_str(root)) {
        yyjson_doc *inner = yyjson_read(yyjson_get_str(root), yyjson_get_len(root), 0);
        yyjson_doc_free(doc);
        doc = inner;
    }
    if (doc && !yyjson_is_obj(yyjson_doc_get_root(doc))) {
        yyjson_doc_free(doc);
        doc = NULL;
    }
    return doc;
}

static ProtobufCBinaryData json_put(yyjson_mut_doc *doc, struct arena *a)
{
    size_t n;
    char *text = yyjson_mut_write(doc, 0, &n);
    struct str copy = text ? arena_str(a, (struct str){text, n}) : (struct str){0};

    free(text);
    return bytes_of(copy);
}

static void aliases_read(void *message, size_t at, struct str s, struct arena *a)
{
    yyjson_doc *doc = object_read(s);
    yyjson_val *root = yyjson_doc_get_root(doc), *k, *v;
    size_t i, max, n = 0;
    Weir__Alias **list = doc ? arena_alloc(a, (yyjson_obj_size(root) + 1) * sizeof *list) : NULL;

    yyjson_obj_foreach(root, i, max, k, v)
    {
        Weir__Alias *one = arena_alloc(a, sizeof *one);
        if (!list || !one || !yyjson_is_str(v))
            continue;
        weir__alias__init(one);
        one->name = bytes_of(arena_str(a, text_of(k)));
        one->model = bytes_of(arena_str(a, text_of(v)));
        list[n++] = one;
    }
    repeated_set(message, at, list, n);
    yyjson_doc_free(doc);
}

static void opened_read(ProtobufCBinaryData *ret, struct str s, const struct reader *r)
{
    yyjson_doc *in = object_read(s);
    yyjson_mut_doc *out = in ? yyjson_doc_mut_copy(in, NULL) : NULL;
    yyjson_mut_val *k, *v;
    struct str plain;
    size_t i, n;

    *ret = bytes_of(s);
    yyjson_mut_obj_foreach(yyjson_mut_doc_get_root(out), i, n, k, v)
    {
        struct str sealed = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (yyjson_mut_is_str(v) && seal_open(r->seal, sealed, r->a, &plain) && str_is_utf8(plain))
            (void)yyjson_mut_set_strn(v, plain.p, plain.n);
    }
    if (out)
        *ret = json_put(out, r->a);
    yyjson_mut_doc_free(out);
    yyjson_doc_free(in);
}

/* ---- metadata ---- */

static const char *const taken[] = {"tags", "model_rpm_limit", "model_tpm_limit",
                                    "temp_budget_increase", "temp_budget_expiry"};

static void metadata_read(ProtobufCBinaryData *ret, struct str s, struct arena *a)
{
    yyjson_doc *in = object_read(s);
    yyjson_mut_doc *out = in ? yyjson_doc_mut_copy(in, NULL) : NULL;
    yyjson_mut_val *root = yyjson_mut_doc_get_root(out);

    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        (void)yyjson_mut_obj_remove_key(root, taken[i]);
    if (yyjson_mut_obj_size(root))
        *ret = json_put(out, a);
    yyjson_mut_doc_free(out);
    yyjson_doc_free(in);
}

static void tags_read(void *message, size_t at, struct str s, struct arena *a)
{
    yyjson_doc *doc = object_read(s);
    yyjson_val *tags = yyjson_obj_get(yyjson_doc_get_root(doc), "tags"), *v;
    size_t i, max, n = 0;
    ProtobufCBinaryData *list =
        yyjson_is_arr(tags) ? arena_alloc(a, (yyjson_arr_size(tags) + 1) * sizeof *list) : NULL;

    yyjson_arr_foreach(tags, i, max, v)
    {
        if (list && yyjson_is_str(v))
            list[n++] = bytes_of(arena_str(a, text_of(v)));
    }
    repeated_set(message, at, list, n);
    yyjson_doc_free(doc);
}

/* ISO 8601 with or without a zone (UTC then); 0: it is none. */
static int64_t iso_time(struct str s)
{
    static const struct {
        uint8_t at, n;
    } parts[] = {{0, 4}, {5, 2}, {8, 2}, {11, 2}, {14, 2}, {17, 2}};
    uint32_t v[6] = {0}, hours, minutes = 0;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        bool is_time = i >= 3;
        if (parts[i].at + (size_t)parts[i].n > s.n) {
            if (is_time)
                break;
            return 0;
        }
        if (!num_u32((struct str){s.p + parts[i].at, parts[i].n}, &v[i]))
            return 0;
    }
    struct tm tm = {.tm_year = (int)v[0] - 1900,
                    .tm_mon = (int)v[1] - 1,
                    .tm_mday = (int)v[2],
                    .tm_hour = (int)v[3],
                    .tm_min = (int)v[4],
                    .tm_sec = (int)v[5]};
    int64_t at = timegm(&tm);
    struct str zone = str_from(s, 19);
    while (zone.n && zone.p[0] != '+' && zone.p[0] != '-')
        zone = str_from(zone, 1);
    if (zone.n >= 3 && num_u32((struct str){zone.p + 1, 2}, &hours)) {
        struct str rest = str_from(zone, zone.n > 3 && zone.p[3] == ':' ? 4 : 3);
        if (rest.n && !num_u32(rest, &minutes))
            minutes = 0;
        int64_t off = (int64_t)hours * 3600 + (int64_t)minutes * 60;
        at += zone.p[0] == '-' ? off : -off;
    }
    return at * 1000000;
}

/* ---- limits by model ---- */

static Weir__ModelLimit *model_limit_add(struct reader *r, struct str model)
{
    Weir__Limits *l = r->limits;

    if (l->n_models >= MODEL_LIMITS_MAX)
        return NULL;
    if ((l->n_models & (l->n_models - 1)) == 0) { /* grows at powers of two */
        Weir__ModelLimit **more = arena_alloc(r->a, 2 * (l->n_models + 1) * sizeof *more);
        if (!more)
            return NULL;
        if (l->n_models)
            memcpy(more, l->models, l->n_models * sizeof *more);
        l->models = more;
    }
    Weir__ModelLimit *one = arena_alloc(r->a, sizeof *one);
    if (!one)
        return NULL;
    weir__model_limit__init(one);
    one->budget_duration = (char *)(uintptr_t) "";
    one->model = bytes_of(arena_str(r->a, model));
    l->models[l->n_models++] = one;
    return one;
}

static Weir__ModelLimit *model_limit(struct reader *r, struct str model)
{
    Weir__Limits *l = r->limits;

    for (size_t i = 0; i < l->n_models && model.n; i++)
        if (l->models[i]->model.len == model.n &&
            memcmp(l->models[i]->model.data, model.p, model.n) == 0)
            return l->models[i];
    return model.n ? model_limit_add(r, model) : NULL; /* without a name it would be a window */
}

static bool amount_of(yyjson_val *v, int scale, struct arena *a, int64_t *ret)
{
    if (yyjson_is_sint(v))
        return num_scaled(arena_printf(a, "%lld", (long long)yyjson_get_sint(v)), scale, ret);
    if (yyjson_is_uint(v))
        return num_scaled(arena_printf(a, "%llu", (unsigned long long)yyjson_get_uint(v)), scale,
                          ret);
    if (yyjson_is_real(v))
        return num_scaled(arena_printf(a, "%.17g", yyjson_get_real(v)), scale, ret);
    return yyjson_is_str(v) && num_scaled(text_of(v), scale, ret);
}

static void put_bound(Weir__Bound **at, yyjson_val *v, int scale, struct arena *a)
{
    int64_t n;

    if (amount_of(v, scale, a, &n))
        *at = bound_of(n, a);
}

/* {model: n} */
static void model_bounds(struct reader *r, yyjson_val *map, size_t at)
{
    yyjson_val *k, *v;
    size_t i, n;

    yyjson_obj_foreach(map, i, n, k, v)
    {
        Weir__ModelLimit *one = model_limit(r, text_of(k));
        if (one)
            put_bound(member(one, at), v, 0, r->a);
    }
}

static yyjson_val *either(yyjson_val *map, const char *name, const char *other)
{
    yyjson_val *v = yyjson_obj_get(map, name);

    return v ? v : yyjson_obj_get(map, other);
}

/* {model: {budget_limit, time_period, tpm_limit, rpm_limit}}, older {model: dollars} */
static void model_budgets(struct reader *r, yyjson_val *map)
{
    yyjson_val *k, *v;
    size_t i, n;

    yyjson_obj_foreach(map, i, n, k, v)
    {
        Weir__ModelLimit *one = model_limit(r, text_of(k));
        if (!one)
            continue;
        if (!yyjson_is_obj(v)) {
            put_bound(&one->max_budget_nusd, v, 9, r->a);
            continue;
        }
        put_bound(&one->max_budget_nusd, either(v, "budget_limit", "max_budget"), 9, r->a);
        put_bound(&one->tpm, yyjson_obj_get(v, "tpm_limit"), 0, r->a);
        put_bound(&one->rpm, yyjson_obj_get(v, "rpm_limit"), 0, r->a);
        yyjson_val *period = either(v, "time_period", "budget_duration");
        if (yyjson_is_str(period))
            one->budget_duration = (char *)(uintptr_t)arena_str(r->a, text_of(period)).p;
    }
}

/* [{budget_duration, max_budget, reset_at}] */
static void windows_read(struct reader *r, struct str s)
{
    yyjson_doc *doc = s.n > 2 ? yyjson_read(s.p, s.n, 0) : NULL;
    yyjson_val *w;
    size_t i, n;

    yyjson_arr_foreach(yyjson_doc_get_root(doc), i, n, w)
    {
        yyjson_val *duration = yyjson_obj_get(w, "budget_duration");
        yyjson_val *reset = yyjson_obj_get(w, "reset_at");
        int64_t max;
        if (!yyjson_is_str(duration) || !amount_of(yyjson_obj_get(w, "max_budget"), 9, r->a, &max))
            continue;
        Weir__ModelLimit *one = model_limit_add(r, (struct str){0});
        if (!one)
            break;
        one->max_budget_nusd = bound_of(max, r->a);
        one->budget_duration = (char *)(uintptr_t)arena_str(r->a, text_of(duration)).p;
        one->reset_us = yyjson_is_str(reset) ? iso_time(text_of(reset)) : 0;
    }
    yyjson_doc_free(doc);
}

static void limits_of_json(struct reader *r, enum cell_type type, struct str s)
{
    yyjson_doc *doc = object_read(s);
    yyjson_val *root = yyjson_doc_get_root(doc);
    const size_t rpm = offsetof(Weir__ModelLimit, rpm), tpm = offsetof(Weir__ModelLimit, tpm);

    if (type == CELL_MODEL_BUDGETS) {
        model_budgets(r, root);
    } else if (type == CELL_METADATA_LIMITS) {
        model_bounds(r, yyjson_obj_get(root, "model_rpm_limit"), rpm);
        model_bounds(r, yyjson_obj_get(root, "model_tpm_limit"), tpm);
        if (amount_of(yyjson_obj_get(root, "temp_budget_increase"), 9, r->a,
                      &r->limits->extra_budget_nusd))
            r->limits->extra_until_us =
                iso_time(text_of(yyjson_obj_get(root, "temp_budget_expiry")));
    } else {
        model_bounds(r, root, type == CELL_MODEL_RPMS ? rpm : tpm);
    }
    yyjson_doc_free(doc);
}

/* ---- a row ---- */

/* False: the row is no entity. */
static bool cell_read(struct reader *r, const struct cell *c, void *message, struct str s)
{
    void *at = member(message, c->at);
    int64_t n;

    switch (c->type) {
    case CELL_BYTES:
        *(ProtobufCBinaryData *)at = bytes_of(s);
        break;
    case CELL_STRING:
        *(const char **)at = s.p;
        break;
    case CELL_HASH:
        return hash_read(at, s, r->a);
    case CELL_TEXTS:
        texts_read(message, c->at, s, r->a);
        break;
    case CELL_ALIASES:
        aliases_read(message, c->at, s, r->a);
        break;
    case CELL_BOOL:
        *(protobuf_c_boolean *)at = str_eq(s, STR("t"));
        break;
    case CELL_TIME:
        if (num_i64(s, &n))
            *(int64_t *)at = n;
        break;
    case CELL_MONEY:
        if (money_read(s, &n))
            *(int64_t *)at = n;
        break;
    case CELL_BOUND:
        if (num_i64(s, &n))
            *(Weir__Bound **)at = bound_of(n, r->a);
        break;
    case CELL_BOUND_MONEY:
        if (money_read(s, &n))
            *(Weir__Bound **)at = bound_of(n, r->a);
        break;
    case CELL_OPENED:
        opened_read(at, s, r);
        break;
    case CELL_METADATA:
        metadata_read(at, s, r->a);
        break;
    case CELL_METADATA_TAGS:
        tags_read(message, c->at, s, r->a);
        break;
    case CELL_BUDGET_WINDOWS:
        windows_read(r, s);
        break;
    case CELL_METADATA_LIMITS:
    case CELL_MODEL_BUDGETS:
    case CELL_MODEL_RPMS:
    case CELL_MODEL_TPMS:
        limits_of_json(r, c->type, s);
        break;
    }
    return true;
}

/* The message of a kind, and the entity around it. */
static void *message_new(enum entity_kind k, Weir__Entity **ret_en, struct arena *a)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(&weir__entity__descriptor, kinds[k].member);
    Weir__Entity *en = arena_alloc(a, sizeof *en);
    void *message = arena_alloc(a, kinds[k].message->sizeof_message);

    if (!en || !message)
        return NULL;
    weir__entity__init(en);
    protobuf_c_message_init(kinds[k].message, message);
    en->is_case = (Weir__Entity__IsCase)f->id; /* cases are numbered as the members are */
    *(void **)member(en, f->offset) = message;
    *ret_en = en;
    return message;
}

static bool limits_are_empty(const Weir__Limits *l)
{
    Weir__Limits none;

    weir__limits__init(&none);
    return weir__limits__get_packed_size(l) == weir__limits__get_packed_size(&none);
}

const Weir__Entity *entity_read(enum entity_kind k, const struct str *texts,
                                const struct seal_key *seal, struct arena *a)
{
    Weir__Limits *limits = arena_alloc(a, sizeof *limits);
    struct reader r = {a, seal, limits};
    Weir__Entity *en;
    void *message = message_new(k, &en, a);
    size_t n;
    const struct cell *c = entity_cells(k, &n);

    if (!message || !limits)
        return NULL;
    weir__limits__init(limits);
    for (size_t i = 0; i < n; i++)
        if (texts[i].p &&
            !cell_read(&r, &c[i], c[i].in_limits ? (void *)limits : message, texts[i]))
            return NULL;
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(kinds[k].message, "limits");
    if (f && !limits_are_empty(limits))
        *(Weir__Limits **)member(message, f->offset) = limits;
    return arena_ok(a) ? en : NULL;
}

const Weir__Entity *entity_gone(enum entity_kind k, struct str key1, struct str key2,
                                struct arena *a)
{
    struct reader r = {.a = a};
    Weir__Entity *en;
    void *message = message_new(k, &en, a);
    size_t n;
    const struct cell *c = entity_cells(k, &n);

    if (!message)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        bool is_1 = strcmp(c[i].expression, kinds[k].key1) == 0;
        bool is_2 = kinds[k].key2 && strcmp(c[i].expression, kinds[k].key2) == 0;
        if ((is_1 || is_2) && !cell_read(&r, &c[i], message, is_1 ? key1 : key2))
            return NULL;
    }
    en->gone = true;
    return arena_ok(a) ? en : NULL;
}

bool entity_total(Weir__Total *ret, enum entity_kind k, struct str key1, struct str key2,
                  struct str spend, struct str reset, struct arena *a)
{
    const ProtobufCFieldDescriptor *f =
        protobuf_c_message_descriptor_get_field_by_name(&weir__entity__descriptor, kinds[k].member);

    weir__total__init(ret);
    ret->kind = f->id;
    ret->id = bytes_of(k == ENTITY_MEMBER ? key2 : key1);
    if (k == ENTITY_MEMBER)
        ret->user = bytes_of(key1);
    if (k == ENTITY_KEY && !hash_read(&ret->id, key1, a))
        return false;
    if (!num_i64(reset, &ret->reset_us))
        ret->reset_us = 0;
    return !spend.p || money_read(spend, &ret->spend_nusd);
}

/* ---- packed ---- */

size_t varint_put(char *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (char)(v | 0x80);
    out[n++] = (char)v;
    return n;
}

/* Room for a message of `body` bytes behind its tag and length. */
static bool packed_room(struct packed *p, size_t body)
{
    size_t want = p->n + body + 11;

    if (want > p->cap && !p->failed) {
        size_t cap = MAX(want, p->cap * 2);
        char *more = realloc(p->p, cap);
        p->failed = !more;
        if (more) {
            p->p = more;
            p->cap = cap;
        }
    }
    return !p->failed;
}

static void packed_message(struct packed *p, char tag, const ProtobufCMessage *m)
{
    size_t body = protobuf_c_message_get_packed_size(m);

    if (!packed_room(p, body))
        return;
    p->p[p->n++] = tag;
    p->n += varint_put(p->p + p->n, body);
    p->n += protobuf_c_message_pack(m, (uint8_t *)p->p + p->n);
    p->count++;
}

void packed_entity(struct packed *p, const Weir__Entity *en)
{
    packed_message(p, TAG_ENTITIES, &en->base);
}

void packed_total(struct packed *p, const Weir__Total *t)
{
    packed_message(p, TAG_TOTALS, &t->base);
}

void packed_deinit(struct packed *p)
{
    free(p->p);
    *p = (struct packed){0};
}

size_t packed_step(struct str s)
{
    size_t n = 0, at = 1;
    unsigned shift = 0;

    while (at < s.n) {
        unsigned char c = (unsigned char)s.p[at++];
        n |= (size_t)(c & 0x7f) << shift;
        shift += 7;
        if (!(c & 0x80))
            break;
    }
    return at + n;
}
