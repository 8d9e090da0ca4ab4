/*
 * From libyaml's events to the tree. A stack of open lists and maps, as deep as a file may nest;
 * a child is copied into its parent when it ends. An alias copies the anchored node and shares what
 * hangs below it, so a bomb of aliases costs nothing until somebody walks it: that is why nodes are
 * counted as if each alias were written out.
 */

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <yaml.h>

#include "common/conf.h"
#include "common/num.h"

enum { MAX_ANCHORS = 1000 };

struct anchor {
    struct str name;
    struct conf_node node;
};

struct frame { /* a list or map being read */
    struct conf_node node;
    struct conf_node *items;
    uint32_t cap;
    struct str anchor;
    bool has_key; /* map: `key` waits for its value */
    bool is_merge;
    struct str key;
    uint32_t key_line;
    const struct conf_node *merge; /* value of `<<` */
};

struct reader {
    struct arena *arena;
    const char *file;
    struct err *err;
    struct frame stack[CONF_MAX_DEPTH];
    unsigned depth;
    struct conf_node root;
    bool has_root;
    size_t nodes;
    struct anchor *anchors;
    unsigned n_anchors;
    enum errc rc;
};

static bool fail(struct reader *r, enum errc code, size_t line, const char *fmt, ...) PRINTF(4, 5);

static bool fail(struct reader *r, enum errc code, size_t line, const char *fmt, ...)
{
    char what[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap); /* a longer sentence is cut */
    va_end(ap);
    r->rc = err_set(r->err, code, 0, "%s:%zu: %s", r->file, line, what);
    return false;
}

static bool no_memory(struct reader *r)
{
    r->rc = err_set(r->err, ERRC_NOMEM, 0, "%s", r->file);
    return false;
}

/* ---- scalars: the YAML 1.1 patterns PyYAML resolves plain scalars by ---- */

static bool one_of(struct str s, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(s, str_of(words[i])))
            return true;
    return false;
}

/* Digits of `base` with '_' anywhere between; false without any, on other bytes, and on overflow.
 */
static bool int_value(struct str s, unsigned base, uint64_t *ret)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t v = 0;
    bool any = false;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_')
            continue;
        const char *at = memchr(digits, char_lower(s.p[i]), base);
        if (!at || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)(at - digits), &v))
            return false;
        any = true;
    }
    *ret = v;
    return any;
}

/* 190:20:30, base sixty: [1-9][0-9_]*(:[0-5]?[0-9])+ */
static bool int_sexagesimal(struct str s, uint64_t *ret)
{
    struct str part, rest = s;
    bool more = str_cut(rest, ':', &part, &rest);
    uint64_t v, low;

    if (!more || part.n == 0 || part.p[0] < '1' || part.p[0] > '9' || !int_value(part, 10, &v))
        return false;
    do {
        more = str_cut(rest, ':', &part, &rest);
        if (part.n < 1 || part.n > 2 || !num_u64(part, &low) || low > 59 ||
            __builtin_mul_overflow(v, UINT64_C(60), &v) || __builtin_add_overflow(v, low, &v))
            return false;
    } while (more);
    *ret = v;
    return true;
}

/* Decimal digits of any length, for Python has no largest integer; '_' left out. */
static bool resolve_decimal(struct arena *a, struct conf_node *n, struct str digits, bool minus)
{
    char *p = arena_alloc(a, digits.n + 1);
    size_t len = 0;

    if (!p)
        return false;
    if (minus)
        p[len++] = '-';
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] == '_')
            continue;
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return false;
        p[len++] = digits.p[i];
    }
    n->text = (struct str){p, len};
    return true;
}

static bool resolve_int(struct arena *a, struct conf_node *n)
{
    bool minus = n->text.p[0] == '-';
    struct str s = str_from(n->text, minus || n->text.p[0] == '+');
    bool radix = s.n > 2 && s.p[0] == '0' && (s.p[1] == 'b' || s.p[1] == 'x');
    char digits[20];
    uint64_t v;

    if (s.n == 0 || s.p[0] < '0' || s.p[0] > '9')
        return false;
    if (s.p[0] == '0' ? int_value(radix ? str_from(s, 2) : s,
                                  !radix          ? 8
                                  : s.p[1] == 'b' ? 2
                                                  : 16,
                                  &v)
                      : int_sexagesimal(s, &v))
        n->text =
            arena_printf(a, "%s%.*s", minus && v ? "-" : "", (int)num_put_u64(digits, v), digits);
    else if (s.p[0] == '0' || !resolve_decimal(a, n, s, minus))
        return false;
    n->kind = CONF_INT;
    return true;
}

/* [-+]?[0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)? or \.[0-9][0-9_]*([eE][-+][0-9]+)?, to JSON notation.
 * Infinities, NaN and base sixty stay text: no setting takes them. */
static bool resolve_float(struct arena *a, struct conf_node *n)
{
    struct str s = n->text;
    char *p = arena_alloc(a, s.n + 3);
    size_t at = 0, len = 0, whole, frac = 0;
    bool any = false;

    if (!p)
        return false;
    if (s.p[0] == '-')
        p[len++] = '-';
    if (s.p[0] == '-' || s.p[0] == '+')
        at++;
    whole = len;
    for (; at < s.n && ((s.p[at] >= '0' && s.p[at] <= '9') || (s.p[at] == '_' && any)); at++) {
        any = true;
        if (len == whole + 1 && p[whole] == '0' && s.p[at] != '_')
            len--; /* JSON knows no leading zero */
        if (s.p[at] != '_')
            p[len++] = s.p[at];
    }
    if (at == s.n || s.p[at] != '.' || (!any && at > 0))
        return false;
    bool bare = len == whole;
    if (bare)
        p[len++] = '0';
    p[len++] = s.p[at++];
    for (; at < s.n && ((s.p[at] >= '0' && s.p[at] <= '9') || (frac && s.p[at] == '_') ||
                        (!bare && s.p[at] == '_'));
         at++)
        if (s.p[at] != '_') {
            p[len++] = s.p[at];
            frac++;
        }
    if (frac == 0) {
        if (bare)
            return false;
        p[len++] = '0';
    }
    if (at < s.n) {
        struct str exp = str_from(s, at);
        uint32_t v;
        if (exp.n < 3 || char_lower(exp.p[0]) != 'e' || (exp.p[1] != '-' && exp.p[1] != '+') ||
            !num_u32(str_from(exp, 2), &v))
            return false;
        memcpy(p + len, exp.p, exp.n);
        len += exp.n;
    }
    n->text = (struct str){p, len};
    n->kind = CONF_FLOAT;
    return true;
}

static void resolve_plain(struct arena *a, struct conf_node *n)
{
    static const char *const yes[] = {"yes",  "Yes", "YES", "true", "True",
                                      "TRUE", "on",  "On",  "ON"};
    static const char *const no[] = {"no",    "No",  "NO",  "false", "False",
                                     "FALSE", "off", "Off", "OFF"};
    static const char *const nothing[] = {"~", "null", "Null", "NULL"};

    n->kind = CONF_STR;
    if (n->text.n == 0 || one_of(n->text, nothing, ARRAY_LEN(nothing))) {
        n->kind = CONF_NULL;
    } else if (one_of(n->text, yes, ARRAY_LEN(yes))) {
        n->kind = CONF_BOOL;
        n->truth = true;
    } else if (one_of(n->text, no, ARRAY_LEN(no))) {
        n->kind = CONF_BOOL;
    } else if (strchr("+-.0123456789", n->text.p[0])) {
        if (!resolve_int(a, n))
            (void)resolve_float(a, n); /* neither: text */
    }
}

/* An explicit tag: the core ones, of the kind they say. */
static bool resolve_tagged(struct reader *r, struct conf_node *n, struct str tag)
{
    static const struct {
        const char *name;
        enum conf_kind kind;
    } tags[] = {
        {"!", CONF_STR},
        {YAML_STR_TAG, CONF_STR},
        {YAML_INT_TAG, CONF_INT},
        {YAML_FLOAT_TAG, CONF_FLOAT},
        {YAML_BOOL_TAG, CONF_BOOL},
        {YAML_NULL_TAG, CONF_NULL},
    };

    for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
        if (!str_eq(tag, str_of(tags[i].name)))
            continue;
        n->kind = CONF_STR;
        if (tags[i].kind != CONF_STR)
            resolve_plain(r->arena, n);
        if (n->kind == tags[i].kind || (n->kind == CONF_INT && tags[i].kind == CONF_FLOAT))
            return true;
        break;
    }
    return fail(r, ERRC_INVALID, n->line, "tag %.*s does not fit here", STR_ARG(tag));
}

/* ---- the tree ---- */

static bool count(struct reader *r, size_t line, size_t nodes)
{
    r->nodes += nodes;
    if (r->nodes <= CONF_MAX_NODES)
        return true;
    return fail(r, ERRC_LIMIT, line, "more than %d values (aliases written out)", CONF_MAX_NODES);
}

static bool anchor_set(struct reader *r, struct str name, const struct conf_node *n)
{
    if (name.n == 0)
        return true;
    if (r->n_anchors == MAX_ANCHORS)
        return fail(r, ERRC_LIMIT, n->line, "more than %d anchors", MAX_ANCHORS);
    r->anchors[r->n_anchors++] = (struct anchor){name, *n};
    return true;
}

/* Adds an item to a frame's vector. */
static bool frame_push(struct reader *r, struct frame *f, const struct conf_node *n)
{
    if (f->node.n == f->cap) {
        uint32_t cap = f->cap ? f->cap * 2 : 8;
        struct conf_node *items = arena_alloc(r->arena, cap * sizeof *items);
        if (!items)
            return no_memory(r);
        if (f->node.n)
            memcpy(items, f->items, f->node.n * sizeof *items);
        f->items = items;
        f->cap = cap;
    }
    f->items[f->node.n++] = *n;
    return true;
}

/* A finished value goes where it belongs: list item, value of the waiting key, or root. */
static bool place(struct reader *r, const struct conf_node *n)
{
    if (r->depth == 0) {
        r->root = *n;
        r->has_root = true;
        return true;
    }
    struct frame *f = &r->stack[r->depth - 1];
    struct conf_node child = *n;
    if (f->node.kind == CONF_LIST) {
        child.key = (struct str){0};
        child.key_line = 0;
        return frame_push(r, f, &child);
    }
    f->has_key = false;
    if (f->is_merge) {
        struct conf_node *merge = arena_alloc(r->arena, sizeof *merge);
        if (!merge)
            return no_memory(r);
        if (f->merge)
            return fail(r, ERRC_INVALID, f->key_line, "a second << in one map");
        *merge = child;
        f->merge = merge;
        return true;
    }
    child.key = f->key;
    child.key_line = f->key_line;
    return frame_push(r, f, &child);
}

/* Appends the members of the maps that `<<` names; the nearer one wins. */
static bool merge_into(struct reader *r, struct frame *f)
{
    const struct conf_node *from = f->merge;
    const struct conf_node *maps = from->kind == CONF_LIST ? from->first : from;
    uint32_t n = from->kind == CONF_LIST ? from->n : 1;

    for (uint32_t i = 0; i < n; i++) {
        if (maps[i].kind != CONF_MAP)
            return fail(r, ERRC_INVALID, from->line, "<< takes a map or a list of maps");
        CONF_FOREACH(&maps[i], it)
        if (!count(r, from->line, it->size) || !frame_push(r, f, it))
            return false;
    }
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct conf_node *x = *(const struct conf_node *const *)a;
    const struct conf_node *y = *(const struct conf_node *const *)b;
    size_t n = MIN(x->key.n, y->key.n);
    int order = n ? memcmp(x->key.p, y->key.p, n) : 0;

    if (order == 0)
        order = (x->key.n > y->key.n) - (x->key.n < y->key.n);
    return order ? order : (x > y) - (x < y);
}

/* Of equal keys the first counts; two written in the map itself are an error. */
static bool unique_keys(struct reader *r, struct frame *f, uint32_t n_own)
{
    uint32_t n = f->node.n, kept = 0;
    struct conf_node **sorted = arena_alloc(r->arena, (n + 1) * sizeof(struct conf_node *));

    if (!sorted)
        return no_memory(r);
    for (uint32_t i = 0; i < n; i++)
        sorted[i] = &f->items[i];
    qsort(sorted, n, sizeof(struct conf_node *), by_key);
    for (uint32_t i = 1, of = 0; i < n; i++) {
        if (!str_eq(sorted[i]->key, sorted[of]->key)) {
            of = i;
            continue;
        }
        if (sorted[i] < f->items + n_own)
            return fail(r, ERRC_INVALID, sorted[i]->key_line,
                        "%.*s is given twice, first in line %u", STR_ARG(sorted[i]->key),
                        sorted[of]->key_line);
        sorted[i]->line = 0; /* overridden */
    }
    for (uint32_t i = 0; i < n; i++)
        if (f->items[i].line)
            f->items[kept++] = f->items[i];
    f->node.n = kept;
    return true;
}

static bool container_end(struct reader *r)
{
    struct frame *f = &r->stack[r->depth - 1];
    uint32_t n_own = f->node.n;

    if (f->merge && !merge_into(r, f))
        return false;
    if (f->node.kind == CONF_MAP && !unique_keys(r, f, n_own))
        return false;
    f->node.first = f->items;
    f->node.size = 1;
    for (uint32_t i = 0; i < f->node.n; i++) {
        f->node.size += f->items[i].size;
        f->node.height = MAX(f->node.height, f->items[i].height + 1);
    }
    struct conf_node done = f->node;
    struct str anchor = f->anchor;
    r->depth--;
    return anchor_set(r, anchor, &done) && place(r, &done);
}

static bool container_start(struct reader *r, enum conf_kind kind, size_t line,
                            const yaml_char_t *anchor, const yaml_char_t *tag)
{
    struct str name = str_of((const char *)tag);

    if (r->depth == CONF_MAX_DEPTH)
        return fail(r, ERRC_LIMIT, line, "nested deeper than %d", CONF_MAX_DEPTH);
    if (tag && !str_eq(name, str_of(kind == CONF_MAP ? YAML_MAP_TAG : YAML_SEQ_TAG)))
        return fail(r, ERRC_INVALID, line, "tag %.*s does not fit here", STR_ARG(name));
    if (!count(r, line, 1))
        return false;
    r->stack[r->depth++] = (struct frame){
        .node = {.kind = kind, .line = (uint32_t)line, .file = r->file, .size = 1},
        .anchor = arena_str(r->arena, str_of((const char *)anchor)),
    };
    return true;
}

static bool on_scalar(struct reader *r, const yaml_event_t *ev, size_t line)
{
    struct str raw = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    struct frame *f = r->depth ? &r->stack[r->depth - 1] : NULL;
    bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

    if (memchr(raw.p, '\0', raw.n))
        return fail(r, ERRC_INVALID, line, "a NUL character in text");
    struct conf_node n = {.kind = CONF_STR,
                          .line = (uint32_t)line,
                          .file = r->file,
                          .text = arena_str(r->arena, raw),
                          .size = 1};
    struct str anchor = arena_str(r->arena, str_of((const char *)ev->data.scalar.anchor));
    if (f && f->node.kind == CONF_MAP && !f->has_key) {
        f->has_key = true;
        f->is_merge = plain && str_eq(raw, STR("<<"));
        f->key = n.text;
        f->key_line = n.line;
        return anchor_set(r, anchor, &n);
    }
    if (ev->data.scalar.tag) {
        if (!resolve_tagged(r, &n, str_of((const char *)ev->data.scalar.tag)))
            return false;
    } else if (ev->data.scalar.plain_implicit && plain) {
        resolve_plain(r->arena, &n);
    }
    return count(r, line, 1) && anchor_set(r, anchor, &n) && place(r, &n);
}

static bool on_alias(struct reader *r, struct str name, size_t line)
{
    for (unsigned i = 0; i < r->depth; i++)
        if (str_eq(r->stack[i].anchor, name))
            return fail(r, ERRC_INVALID, line, "*%.*s stands inside what it names", STR_ARG(name));
    for (unsigned i = r->n_anchors; i-- > 0;) {
        const struct conf_node *n = &r->anchors[i].node;
        if (!str_eq(r->anchors[i].name, name))
            continue;
        if (r->depth + n->height > CONF_MAX_DEPTH)
            return fail(r, ERRC_LIMIT, line, "nested deeper than %d", CONF_MAX_DEPTH);
        return count(r, line, n->size) && place(r, n);
    }
    return fail(r, ERRC_INVALID, line, "nothing is anchored as %.*s", STR_ARG(name));
}

static bool on_event(struct reader *r, const yaml_event_t *ev)
{
    size_t line = ev->start_mark.line + 1;
    bool key_next =
        r->depth && r->stack[r->depth - 1].node.kind == CONF_MAP && !r->stack[r->depth - 1].has_key;

    switch (ev->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    case YAML_DOCUMENT_START_EVENT:
        return !r->has_root || fail(r, ERRC_INVALID, line, "a second document");
    case YAML_ALIAS_EVENT:
        if (key_next)
            return fail(r, ERRC_INVALID, line, "a key must be text");
        return on_alias(r, str_of((const char *)ev->data.alias.anchor), line);
    case YAML_SCALAR_EVENT:
        return on_scalar(r, ev, line);
    case YAML_SEQUENCE_START_EVENT:
        if (key_next)
            return fail(r, ERRC_INVALID, line, "a key must be text");
        return container_start(r, CONF_LIST, line, ev->data.sequence_start.anchor,
                               ev->data.sequence_start.tag);
    case YAML_MAPPING_START_EVENT:
        if (key_next)
            return fail(r, ERRC_INVALID, line, "a key must be text");
        return container_start(r, CONF_MAP, line, ev->data.mapping_start.anchor,
                               ev->data.mapping_start.tag);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return container_end(r);
    }
    return true;
}

static void read_events(struct reader *r, yaml_parser_t *p)
{
    for (bool more = true; more && r->rc == ERRC_OK;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(p, &ev)) {
            if (p->error == YAML_MEMORY_ERROR)
                (void)no_memory(r);
            else
                (void)fail(r, ERRC_INVALID, p->problem_mark.line + 1, "%s%s%s",
                           p->context ? p->context : "", p->context ? ": " : "",
                           p->problem ? p->problem : "not YAML");
            return;
        }
        more = ev.type != YAML_STREAM_END_EVENT && on_event(r, &ev);
        yaml_event_delete(&ev);
        if (!arena_ok(r->arena) && r->rc == ERRC_OK)
            (void)no_memory(r);
    }
}

enum errc conf_parse(const struct conf_node **ret_root, struct arena *a, const char *name,
                     struct str text, struct err *e)
{
    struct str file = arena_str(a, str_of(name));
    struct conf_node *root = arena_zalloc(a, sizeof *root);
    struct reader *r = arena_zalloc(a, sizeof *r);
    yaml_parser_t parser;

    if (text.n > CONF_MAX_BYTES)
        return err_set(e, ERRC_LIMIT, 0, "%s: larger than %d bytes", name, CONF_MAX_BYTES);
    if (r)
        r->anchors = arena_alloc(a, MAX_ANCHORS * sizeof *r->anchors);
    if (!arena_ok(a) || !r || !yaml_parser_initialize(&parser))
        return err_set(e, ERRC_NOMEM, 0, "%s", name);
    r->arena = a;
    r->file = file.p;
    r->err = e;
    r->root = (struct conf_node){.kind = CONF_NULL, .line = 1, .file = file.p, .size = 1};
    yaml_parser_set_input_string(&parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    read_events(r, &parser);
    yaml_parser_delete(&parser);
    if (r->rc)
        return r->rc;
    *root = r->root;
    *ret_root = root;
    return ERRC_OK;
}

enum errc conf_load(const struct conf_node **ret_root, struct arena *a, const char *path,
                    struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;

    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "open %s", path);
    char *text = arena_alloc(a, CONF_MAX_BYTES + 1);
    ssize_t got = text ? 1 : 0;
    while (got > 0 && n <= CONF_MAX_BYTES) {
        got = read(fd, text + n, CONF_MAX_BYTES + 1 - n);
        if (got > 0)
            n += (size_t)got;
    }
    int sys = got < 0 ? errno : 0;
    (void)close(fd); /* only read from */
    if (!text)
        return err_set(e, ERRC_NOMEM, 0, "%s", path);
    if (sys)
        return err_set(e, ERRC_SYS, sys, "read %s", path);
    return conf_parse(ret_root, a, path, (struct str){text, n}, e);
}
