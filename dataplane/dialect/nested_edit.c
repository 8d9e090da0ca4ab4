/*
 * Two looks at one member of the top level, on the text itself: lists of text parts are found and
 * joined first, and roles renamed, then paths are followed and what they name is removed.
 *
 * The paths of a deployment become one row of segments; what a place in the document still has to
 * match is a set of positions in that row, one set per open bracket.
 *
 *   tools.**.$id      segments  0: tools  1: **  2: $id
 *   the root has {0}, a tool {1,2}, what lies below it {1,2} again; a key "$id" where 2 is goes
 *
 * An array hands its set to its elements, so "messages.content.cache_control" needs no brackets.
 * Values with an empty set are skipped by brackets and quotes. Removed members of one object that
 * follow each other are one splice; from the end of the member before or up to the next key. A list
 * of text parts becomes a string by splices of what stands between the texts: nothing of a prompt
 * is copied.
 */

#include "dialect/nested_edit.h"

enum segment_kind {
    SEGMENT_NAME, /* a member of this name */
    SEGMENT_ANY,  /* "**": any number of levels */
    SEGMENT_NULL, /* any member that is null */
};

struct segment {
    struct str name;
    uint8_t kind; /* enum segment_kind */
    bool last;
    bool in_function; /* "tools.x" is also "tools.function.x" */
};

struct walk {
    const char *body, *end; /* of the member being walked */
    struct arena *arena;
    struct segment *segment;
    unsigned n_segments, words; /* a set is `words` of 64 positions */
    uint64_t *set;              /* [JSON_SCAN_DEPTH + 1][words]: of the value at each depth */
    struct nested_splices out;
    const struct snapshot *s;
    const struct snap_edit **join; /* the EDIT_FLATTEN and EDIT_ROLE that apply */
    unsigned n_joins;
    struct nested_splices texts; /* those that join text parts and rename roles, in order */
    uint32_t next_text;          /* the first of them that is not in `out` yet */
    bool failed;
};

static uint64_t offset(const struct walk *w, const char *p)
{
    return (uint64_t)(p - w->body);
}

static void splice_add(struct walk *w, struct nested_splices *to, uint64_t at, uint64_t end,
                       struct str with)
{
    if (to->n == to->cap) {
        uint32_t cap = to->cap ? to->cap * 2 : 16;
        struct splice *bigger =
            cap <= SPLICES_MAX ? arena_alloc(w->arena, cap * sizeof *bigger) : NULL;
        if (!bigger) {
            w->failed = true;
            return;
        }
        if (to->n)
            memcpy(bigger, to->splice, to->n * sizeof *bigger);
        to->splice = bigger;
        to->cap = cap;
    }
    to->splice[to->n++] = (struct splice){at, end, with};
}

/* --- the text: each function moves *p on, or is false where it is no JSON --- */

static void skip_blanks(const struct walk *w, const char **p)
{
    while (*p < w->end && (**p == ' ' || **p == '\n' || **p == '\r' || **p == '\t'))
        (*p)++;
}

static bool skip_char(const struct walk *w, const char **p, char c)
{
    skip_blanks(w, p);
    if (*p == w->end || **p != c)
        return false;
    (*p)++;
    skip_blanks(w, p);
    return true;
}

/* A value, of which the brackets are known to match. */
static bool skip_value(const struct walk *w, const char **p, struct str *ret_value)
{
    const char *from = *p, *at = from;
    unsigned depth = 0;

    if (at < w->end && (*at == '"' || *at == '{' || *at == '[')) {
        do {
            if (at == w->end)
                return false;
            char c = *at++;
            if (c == '"' && !(at = json_string_end(at, w->end)))
                return false;
            depth += c == '{' || c == '[';
            depth -= c == '}' || c == ']';
        } while (depth);
    } else {
        while (at < w->end && !memchr(",:]} \n\r\t\"", *at, 9))
            at++;
    }
    *p = at;
    *ret_value = (struct str){from, (size_t)(at - from)};
    return at > from;
}

/* A key and its colon; *ret_key without quotes. */
static bool skip_key(const struct walk *w, const char **p, struct str *ret_key)
{
    const char *from = *p;
    struct str key;

    if (from == w->end || *from != '"' || !skip_value(w, p, &key))
        return false;
    *ret_key = json_text_inner(key);
    return skip_char(w, p, ':');
}

/* Behind an element or member: *ret_more when a comma says that another follows. */
static bool skip_comma(const struct walk *w, const char **p, char close, bool *ret_more)
{
    *ret_more = skip_char(w, p, ',');
    return *ret_more || (*p < w->end && *(*p)++ == close);
}

/* --- paths --- */

static unsigned segments_max(struct str path)
{
    unsigned n = 2; /* the first, and SEGMENT_NULL */

    for (size_t i = 0; i < path.n; i++)
        n += path.p[i] == '.';
    return n;
}

static uint64_t *set_at(const struct walk *w, unsigned depth)
{
    return w->set + (size_t)depth * w->words;
}

/* Adds position i, and the one behind a "**", which may stand for no level at all. */
static void set_add(const struct walk *w, uint64_t *set, unsigned i)
{
    set[i / 64] |= BIT64(i % 64);
    if (w->segment[i].kind == SEGMENT_ANY && !w->segment[i].last)
        set_add(w, set, i + 1);
}

static void path_add(struct walk *w, struct str path, bool null_members)
{
    unsigned from = w->n_segments;
    struct str rest = path, name;

    for (bool more = true; more;) {
        more = str_cut(rest, '.', &name, &rest);
        w->segment[w->n_segments++] = (struct segment){
            .name = name, .kind = str_eq(name, STR("**")) ? SEGMENT_ANY : SEGMENT_NAME};
    }
    if (null_members)
        w->segment[w->n_segments++] = (struct segment){.kind = SEGMENT_NULL};
    if (str_starts(path, STR("tools.")))
        w->segment[from + 1].in_function = true;
    w->segment[w->n_segments - 1].last = true;
    set_add(w, set_at(w, 0), from);
}

/* The set of value `depth` from that of the object around it; true: a path ends at this member. */
static bool set_enter_member(const struct walk *w, unsigned depth, struct str key, bool is_null)
{
    const uint64_t *from = set_at(w, depth - 1);
    uint64_t *to = set_at(w, depth);
    bool ends = false;

    memset(to, 0, w->words * sizeof *to);
    for (unsigned i = 0; i < w->n_segments; i++) {
        const struct segment *g = &w->segment[i];
        if (!(from[i / 64] & BIT64(i % 64)))
            continue;
        bool match =
            g->kind == SEGMENT_NAME ? str_eq(g->name, key) : g->kind == SEGMENT_NULL && is_null;
        if (match && g->last)
            ends = true;
        else if (match)
            set_add(w, to, i + 1);
        else if (g->kind == SEGMENT_ANY || (g->in_function && str_eq(key, STR("function"))))
            set_add(w, to, i);
    }
    return ends;
}

static bool set_is_empty(const struct walk *w, unsigned depth)
{
    const uint64_t *set = set_at(w, depth);
    uint64_t any = 0;

    for (unsigned i = 0; i < w->words; i++)
        any |= set[i];
    return !any;
}

/* --- removal --- */

/* Text splices before `p` are due; when what they lie in goes, they go with it. */
static void texts_pass(struct walk *w, const char *p, bool removed)
{
    for (; w->next_text < w->texts.n; w->next_text++) {
        const struct splice *t = &w->texts.splice[w->next_text];
        if (t->at >= offset(w, p))
            break;
        if (!removed)
            splice_add(w, &w->out, t->at, t->end, t->with);
    }
}

static bool walk_value(struct walk *w, unsigned depth, const char **p);

/* Elements have the set of their array. */
static bool walk_array(struct walk *w, unsigned depth, const char **p)
{
    bool more = true;

    (*p)++;
    skip_blanks(w, p);
    if (*p < w->end && **p == ']') {
        (*p)++;
        return true;
    }
    while (more) {
        memcpy(set_at(w, depth + 1), set_at(w, depth), w->words * sizeof *w->set);
        if (!walk_value(w, depth + 1, p) || !skip_comma(w, p, ']', &more))
            return false;
    }
    return true;
}

static bool walk_object(struct walk *w, unsigned depth, const char **p)
{
    uint64_t prev_end = 0, run_at = 0; /* run_at: start of the removed members that end here */
    bool kept = false, more = true;    /* kept: some member before the run */
    struct str key, removed;

    (*p)++;
    skip_blanks(w, p);
    if (*p < w->end && **p == '}') {
        (*p)++;
        return true;
    }
    while (more) {
        uint64_t key_at = offset(w, *p);
        if (!skip_key(w, p, &key))
            return false;
        bool is_null = w->end - *p >= 4 && memcmp(*p, "null", 4) == 0;
        if (set_enter_member(w, depth + 1, key, is_null)) {
            if (!run_at)
                run_at = kept ? prev_end : key_at;
            if (!skip_value(w, p, &removed))
                return false;
            texts_pass(w, *p, true);
        } else {
            if (run_at)
                splice_add(w, &w->out, run_at, kept ? prev_end : key_at, (struct str){0});
            run_at = 0;
            kept = true;
            if (!walk_value(w, depth + 1, p))
                return false;
        }
        prev_end = offset(w, *p);
        if (!skip_comma(w, p, '}', &more))
            return false;
    }
    if (run_at)
        splice_add(w, &w->out, run_at, prev_end, (struct str){0});
    return true;
}

/* Collects the splices of the value at *p, whose set is that of `depth`. */
static bool walk_value(struct walk *w, unsigned depth, const char **p)
{
    bool joined = w->next_text < w->texts.n && w->texts.splice[w->next_text].at == offset(w, *p);
    struct str value;

    if (*p < w->end && depth < JSON_SCAN_DEPTH && !joined && !set_is_empty(w, depth)) {
        if (**p == '{')
            return walk_object(w, depth, p);
        if (**p == '[')
            return walk_array(w, depth, p);
    }
    if (!skip_value(w, p, &value))
        return false;
    texts_pass(w, *p, false);
    return true;
}

/* --- lists of text parts --- */

/* The next member of an object, or element of an array (then *ret_key is empty). */
struct reader {
    const char *p;
    bool object, started, failed;
};

static struct reader reader_of(struct str value)
{
    return (struct reader){.p = value.p, .object = value.p[0] == '{'};
}

static bool reader_next(const struct walk *w, struct reader *r, struct str *ret_key,
                        struct str *ret_value)
{
    char close = r->object ? '}' : ']';
    bool more = true;

    if (!r->started) {
        r->started = true;
        r->p++;
        skip_blanks(w, &r->p);
        if (r->p < w->end && *r->p == close)
            return false;
    } else if (!skip_comma(w, &r->p, close, &more)) {
        r->failed = true;
    }
    *ret_key = (struct str){0};
    if (!more || r->failed)
        return false;
    r->failed = (r->object && !skip_key(w, &r->p, ret_key)) || !skip_value(w, &r->p, ret_value);
    return !r->failed;
}

/* The text of {"type":"text","text":"..."} without quotes; false: not that. */
static bool part_text(const struct walk *w, struct str part, struct str *ret_text)
{
    struct reader r = reader_of(part);
    struct str key, value, type = {0}, text = {0};
    unsigned types = 0, texts = 0;

    while (part.p[0] == '{' && reader_next(w, &r, &key, &value)) {
        if (str_eq(key, STR("type"))) {
            type = value;
            types++;
        } else if (str_eq(key, STR("text"))) {
            text = value;
            texts++;
        }
    }
    if (r.failed || types != 1 || texts != 1 || !str_eq(type, STR("\"text\"")) || text.p[0] != '"')
        return false;
    *ret_text = json_text_inner(text);
    return true;
}

/* Joins the parts of `list` to one string; what came before is left when one is no text. */
static bool parts_join(struct walk *w, struct str list, struct str joiner)
{
    struct reader r = reader_of(list);
    struct str key, part, text;
    const char *from = list.p;
    uint32_t before = w->texts.n;

    while (reader_next(w, &r, &key, &part)) {
        if (!part_text(w, part, &text)) {
            w->texts.n = before;
            return true;
        }
        splice_add(w, &w->texts, offset(w, from), offset(w, text.p),
                   from == list.p ? STR("\"") : joiner);
        from = text.p + text.n;
    }
    splice_add(w, &w->texts, offset(w, from), offset(w, list.p + list.n),
               from == list.p ? STR("\"\"") : STR("\""));
    return !r.failed;
}

static bool role_in(struct str roles, struct str role)
{
    struct str one, rest = roles;

    while (rest.n) {
        str_cut(rest, '|', &one, &rest);
        if (str_eq(one, role))
            return true;
    }
    return roles.n == 0;
}

/* Joins the content of a message when an edit is for its role. */
static bool content_join(struct walk *w, struct str role, struct str content)
{
    for (unsigned i = 0; i < w->n_joins; i++)
        if (w->join[i]->op == EDIT_FLATTEN && role_in(snap_str(w->s, w->join[i]->a), role))
            return parts_join(w, content, snap_str(w->s, w->join[i]->b));
    return true;
}

static void role_rename(struct walk *w, struct str role)
{
    for (unsigned i = 0; i < w->n_joins; i++)
        if (w->join[i]->op == EDIT_ROLE && str_eq(snap_str(w->s, w->join[i]->a), role)) {
            splice_add(w, &w->texts, offset(w, role.p) - 1, offset(w, role.p) + role.n + 1,
                       snap_str(w->s, w->join[i]->b));
            return;
        }
}

/* The edits of one message, in the order of what they are for. */
static bool message_join(struct walk *w, struct str message)
{
    struct reader r = reader_of(message);
    struct str key, value, role = {0}, content = {0};
    unsigned roles_sent = 0, contents = 0;

    while (message.p[0] == '{' && reader_next(w, &r, &key, &value)) {
        if (str_eq(key, STR("role"))) {
            role = value.p[0] == '"' ? json_text_inner(value) : (struct str){0};
            roles_sent++;
        } else if (str_eq(key, STR("content"))) {
            content = value;
            contents++;
        }
    }
    if (r.failed || contents > 1 || roles_sent > 1)
        return !r.failed;
    bool joins = contents && content.p[0] == '[', role_first = role.n && role.p < content.p;
    if (role_first)
        role_rename(w, role);
    if (joins && !content_join(w, role, content))
        return false;
    if (role.n && !role_first)
        role_rename(w, role);
    return true;
}

static bool messages_join(struct walk *w, struct str messages)
{
    struct reader r = reader_of(messages);
    struct str key, message;

    while (reader_next(w, &r, &key, &message))
        if (!message_join(w, message))
            return false;
    return !r.failed;
}

/* --- all of it --- */

/* What is to be done below the top level: the deployment's edits and the request's paths. */
struct orders {
    const struct request_scan *scan;
    const struct snap_deployment *d;
    const struct edit_scope *scope;
    const struct str *drop;
    size_t n_drop;
};

static bool is_join(const struct snap_edit *e)
{
    return e->op == EDIT_FLATTEN || e->op == EDIT_ROLE;
}

/* The edit reaches below the top level, is for this body, and may find something to do. */
static bool reaches(const struct walk *w, const struct orders *o, const struct snap_edit *e)
{
    if (e->op != EDIT_STRIP && e->op != EDIT_STRIP_NULL && !is_join(e))
        return false;
    if (e->op == EDIT_ROLE && o->scope->client != o->scope->upstream)
        return false;
    if (e->op == EDIT_STRIP && !o->scan->json.word_seen &&
        str_ends(snap_str(w->s, e->a), STR(".cache_control")))
        return false;
    return edit_applies(w->s, e, o->scope);
}

static bool is_nested(struct str path)
{
    return path.n && memchr(path.p, '.', path.n);
}

/* Compiles the orders; false: there is nothing to do, or no memory for it. */
static bool walk_init(struct walk *w, const struct orders *o)
{
    unsigned joins = 0, segments = 0;
    const struct snap_edit *e;

    for (uint32_t i = 0; (e = SNAP_AT(w->s, o->d->edits, struct snap_edit, i)); i++) {
        if (!reaches(w, o, e))
            continue;
        if (is_join(e))
            joins++;
        else
            segments += segments_max(snap_str(w->s, e->a));
    }
    for (size_t i = 0; i < o->n_drop; i++)
        if (is_nested(o->drop[i]))
            segments += segments_max(o->drop[i]);
    if (!joins && !segments)
        return false;
    w->words = segments / 64 + 1;
    w->join = arena_alloc(w->arena, (joins + 1) * sizeof(struct snap_edit *));
    w->segment = arena_alloc(w->arena, (segments + 1) * sizeof *w->segment);
    w->set = arena_zalloc(w->arena, (JSON_SCAN_DEPTH + 1) * w->words * sizeof *w->set);
    w->failed = !w->join || !w->segment || !w->set;
    for (uint32_t i = 0; !w->failed && (e = SNAP_AT(w->s, o->d->edits, struct snap_edit, i)); i++) {
        if (!reaches(w, o, e))
            continue;
        if (is_join(e))
            w->join[w->n_joins++] = e;
        else
            path_add(w, snap_str(w->s, e->a), e->op == EDIT_STRIP_NULL);
    }
    for (size_t i = 0; i < o->n_drop && !w->failed; i++)
        if (is_nested(o->drop[i]))
            path_add(w, o->drop[i], false);
    return !w->failed;
}

bool nested_edit_make(struct nested_splices *ret, const struct request_scan *scan, const char *body,
                      const struct snapshot *s, const struct snap_deployment *d,
                      const struct edit_scope *scope, const struct str *drop, size_t n_drop,
                      struct arena *a)
{
    const struct orders orders = {scan, d, scope, drop, n_drop};
    struct walk w = {.body = body, .arena = a, .s = s};

    *ret = (struct nested_splices){0};
    if (!walk_init(&w, &orders))
        return !w.failed;
    for (uint32_t i = 0; i < scan->n_members && !w.failed; i++) {
        const struct member *m = &scan->member[i];
        const char *p = body + m->at;
        uint32_t before = w.out.n;

        if (m->type != JSON_ARRAY && m->type != JSON_OBJECT)
            continue;
        w.end = body + m->end;
        set_enter_member(&w, 1, member_name(m, body, a), false);
        bool join = w.n_joins && m->field == FIELD_MESSAGES && m->type == JSON_ARRAY;
        if (!join && set_is_empty(&w, 1))
            continue;
        if ((join && !messages_join(&w, (struct str){p, m->end - m->at})) ||
            !walk_value(&w, 1, &p) || p != w.end) {
            w.out.n = before; /* no JSON: the upstream says so */
            w.next_text = w.texts.n;
        }
    }
    *ret = w.out;
    return !w.failed;
}
