/* Building the neutral form, and the rules every dialect shares. */

#include "dialect/neutral.h"

#include "common/num.h"

/* The member a detail begins with: "messages.3.content: …". */
static struct str place_of(struct str detail)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyz_0123456789.";
    size_t n = 0;

    while (n < detail.n && memchr(name, detail.p[n], sizeof name - 1))
        n++;
    return (struct str){detail.p, n && detail.p[n - 1] == '.' ? n - 1 : n};
}

bool fault_set(struct fault *f, struct arena *a, enum client_error error, const char *fmt, ...)
{
    char text[256];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    f->error = error;
    f->detail = arena_str(a, (struct str){text, MIN((size_t)MAX(n, 0), sizeof text - 1)});
    if (!f->param.n && (error == ERROR_BAD_FIELD || error == ERROR_MISSING_FIELD))
        f->param = place_of(f->detail);
    return false;
}

struct turn *neutral_turn(struct neutral *n, enum role role)
{
    struct turn *t = arena_zalloc(n->arena, sizeof *t);

    if (!t)
        return NULL;
    t->role = (uint8_t)role;
    if (n->last)
        n->last->next = t;
    else
        n->first = t;
    n->last = t;
    return t;
}

static struct block *block_new(struct neutral *n, enum block_kind kind)
{
    struct block *b = arena_zalloc(n->arena, sizeof *b);

    if (b) {
        b->kind = (uint8_t)kind;
        b->origin = (uint8_t)n->from;
    }
    return b;
}

struct block *neutral_block(struct neutral *n, struct turn *t, enum block_kind kind)
{
    struct block *b = t ? block_new(n, kind) : NULL;

    if (!b)
        return NULL;
    if (t->last)
        t->last->next = b;
    else
        t->first = b;
    t->last = b;
    return b;
}

struct block *neutral_inner(struct neutral *n, struct block *of, enum block_kind kind)
{
    struct block *b = of ? block_new(n, kind) : NULL;

    if (!b)
        return NULL;
    if (of->last_inner)
        of->last_inner->next = b;
    else
        of->inner = b;
    of->last_inner = b;
    return b;
}

struct tool *neutral_tool(struct neutral *n, enum tool_kind kind)
{
    struct tool *t = arena_zalloc(n->arena, sizeof *t);

    if (!t)
        return NULL;
    t->kind = (uint8_t)kind;
    t->origin = (uint8_t)n->from;
    if (n->last_tool)
        n->last_tool->next = t;
    else
        n->tools = t;
    n->last_tool = t;
    return t;
}

void neutral_extra(struct neutral *n, struct jstr key, struct str value)
{
    struct extra *e = arena_zalloc(n->arena, sizeof *e);

    if (!e)
        return;
    e->key = key;
    e->value = value;
    if (n->last_extra)
        n->last_extra->next = e;
    else
        n->extras = e;
    n->last_extra = e;
}

/* --- ids and names ------------------------------------------------------------------------------
 */

static bool is_word_byte(char c)
{
    static const uint64_t words[4] = {
        UINT64_C(0x03ff200000000000), /* digits, '-' */
        UINT64_C(0x07fffffe87fffffe), /* letters, '_' */
    };
    unsigned char byte = (unsigned char)c;

    return words[byte >> 6] >> (byte & 63) & 1;
}

static bool is_word(struct jstr j, size_t max)
{
    if (!j.n || j.n > max)
        return false;
    for (size_t i = 0; i < j.n; i++)
        if (!is_word_byte(j.p[i]))
            return false;
    return true;
}

/* Eight bytes at a time, finished as splitmix64 does: the same at every gateway, not meant against
 * malice. */
static uint64_t hash64(struct jstr j)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ j.n;

    for (size_t i = 0; i < j.n; i += 8) {
        uint64_t word = 0;
        memcpy(&word, j.p + i, MIN(j.n - i, sizeof word));
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}

/* What of it is legal, cut to make room, and a hash of all of it. */
static struct jstr word_of(struct neutral *n, struct jstr j, size_t max)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t h = hash64(j);
    char *out = arena_alloc(n->arena, max);
    size_t at = 0;

    if (!out)
        return JSTR_NONE;
    for (size_t i = 0; i < j.n && at < max - 17; i++)
        if (is_word_byte(j.p[i]))
            out[at++] = j.p[i];
    out[at++] = '_';
    for (unsigned i = 0; i < 16; i++, h <<= 4)
        out[at++] = hex[h >> 60];
    return (struct jstr){out, at};
}

struct jstr neutral_id(struct neutral *n, struct jstr id, size_t max)
{
    if (is_word(id, max))
        return id;
    struct str plain = jstr_decode(id, n->arena); /* by what it means, however it was written */
    id = (struct jstr){plain.p, plain.n};
    return is_word(id, max) ? id : word_of(n, id, max);
}

/* Where names differ, and hashes of them stand. */
static uint64_t end_of(struct jstr sent)
{
    uint64_t end = 0;

    if (sent.n)
        memcpy(&end, sent.p + sent.n - MIN(sent.n, sizeof end), MIN(sent.n, sizeof end));
    return end;
}

static struct renamed **renamed_list(const struct neutral *n, uint64_t end)
{
    return &n->renamed[end * UINT64_C(0x9e3779b97f4a7c15) >> 32 & (RENAMED_LISTS - 1)];
}

static struct renamed *renamed_find(const struct neutral *n, struct jstr sent)
{
    uint64_t end = end_of(sent);
    struct renamed *r = n->renamed ? *renamed_list(n, end) : NULL;

    while (r && (r->end != end || !jstr_same(r->sent, sent)))
        r = r->next;
    return r;
}

/* Notes a pair, whose texts it borrows; NULL: no memory, or too many share its list. */
static struct renamed *renamed_add(struct neutral *n, struct arena *a, struct jstr sent,
                                   struct jstr original, bool wraps_text)
{
    uint64_t end = end_of(sent);

    if (!n->renamed && !(n->renamed = arena_zalloc(a, RENAMED_LISTS * sizeof *n->renamed)))
        return NULL;
    struct renamed **list = renamed_list(n, end);
    uint8_t before = *list ? (*list)->shared : 0;
    struct renamed *r = before < RENAMED_IN_LIST ? arena_alloc(a, sizeof *r) : NULL;
    if (!r)
        return NULL;
    *r = (struct renamed){.next = *list,
                          .end = end,
                          .sent = sent,
                          .original = original,
                          .shared = before + 1,
                          .wraps_text = wraps_text};
    *list = r;
    return r;
}

bool neutral_renamed_keep(struct neutral *n, struct arena *a)
{
    struct renamed **old = n->renamed;

    n->renamed = NULL;
    for (unsigned i = 0; old && i < RENAMED_LISTS; i++)
        for (const struct renamed *r = old[i]; r; r = r->next)
            (void)renamed_add(n, a, jstr_copy(r->sent, a), jstr_copy(r->original, a),
                              r->wraps_text);
    return arena_ok(a);
}

static struct jstr rename_tool(struct neutral *n, struct jstr name, size_t max, bool wraps_text)
{
    struct jstr sent = neutral_id(n, name, max);
    struct renamed *r = renamed_find(n, sent);

    if (!r)
        r = renamed_add(n, n->arena, sent, name, wraps_text);
    if (!r)
        return sent;
    r->wraps_text |= wraps_text;
    return r->sent;
}

struct jstr neutral_tool_name(struct neutral *n, struct jstr name, size_t max)
{
    return is_word(name, max) ? name : rename_tool(n, name, max, false);
}

struct jstr neutral_wrapped_name(struct neutral *n, struct jstr name, size_t max)
{
    return rename_tool(n, name, max, true);
}

struct jstr neutral_original_name(const struct neutral *n, struct jstr name)
{
    const struct renamed *r = renamed_find(n, name);

    return r ? r->original : name;
}

bool neutral_is_wrapped(const struct neutral *n, struct jstr sent)
{
    const struct renamed *r = renamed_find(n, sent);

    return r && r->wraps_text;
}

/* --- media ---------------------------------------------------------------------------------------
 */

enum { REWRITE_MAX = 1024 * 1024 }; /* of base64 that is mended byte by byte */

struct jstr media_sniff(struct jstr base64)
{
    static const struct {
        struct jstr begins, type;
    } magic[] = {
        {{"/9j/", 4}, {"image/jpeg", 10}},   {{"iVBORw0KGgo", 11}, {"image/png", 9}},
        {{"R0lGODdh", 8}, {"image/gif", 9}}, {{"R0lGODlh", 8}, {"image/gif", 9}},
        {{"UklGR", 5}, {"image/webp", 10}},  {{"JVBERi", 6}, {"application/pdf", 15}},
    };

    for (size_t i = 0; i < ARRAY_LEN(magic); i++)
        if (base64.n >= magic[i].begins.n &&
            memcmp(base64.p, magic[i].begins.p, magic[i].begins.n) == 0)
            return magic[i].type;
    return JSTR_NONE;
}

static bool has_byte(struct jstr j, char c)
{
    return j.n && memchr(j.p, c, j.n);
}

/*
 * Base64 as every provider takes it: the URL alphabet and line breaks mended, padding added. "\/"
 * of some writers stays: it is the same in any JSON text. False: something else, or too much to
 * mend.
 */
static bool base64_mend(struct neutral *n, struct jstr *data)
{
    bool url = has_byte(*data, '-') || has_byte(*data, '_');
    bool escapes = has_byte(*data, '\\'), blanks = has_byte(*data, ' ');
    size_t at = 0;

    if (!url && !escapes && !blanks && data->n % 4 == 0)
        return data->n != 0;
    if (data->n > REWRITE_MAX)
        return !url && !blanks;
    struct str plain = jstr_decode(*data, n->arena);
    char *out = arena_alloc(n->arena, plain.n + 3);
    if (!out)
        return true; /* the arena says so */
    for (size_t i = 0; i < plain.n; i++) {
        char c = plain.p[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        c = c == '-' ? '+' : c == '_' ? '/' : c;
        if ((!is_word_byte(c) && c != '+' && c != '/' && c != '='))
            return false;
        out[at++] = c;
    }
    while (at % 4)
        out[at++] = '=';
    *data = (struct jstr){out, at};
    return at != 0;
}

static bool starts_plain(struct jstr j, struct str s)
{
    return j.n >= s.n && str_ieq((struct str){j.p, s.n}, s);
}

/* Nothing but what types are made of, so that it needs no escape wherever it goes. */
static bool is_media_type(struct str type)
{
    for (size_t i = 0; i < type.n; i++)
        if (!is_word_byte(type.p[i]) && !memchr("/.+", type.p[i], 3))
            return false;
    return true;
}

struct jstr neutral_media_type(struct neutral *n, struct jstr type)
{
    struct str plain = jstr_decode(type, n->arena);

    return is_media_type(plain) ? (struct jstr){plain.p, plain.n} : type;
}

bool neutral_data_url(struct neutral *n, struct block *b, struct jstr url)
{
    enum { HEAD_MAX = 256 };
    struct str head, params, type;
    size_t comma;

    b->source = MEDIA_URL;
    b->text = url;
    if (!starts_plain(url, STR("data:")))
        return true;
    head = (struct str){url.p + 5, MIN(url.n - 5, (size_t)HEAD_MAX)};
    comma = str_find(head, STR(","));
    if (comma == SIZE_MAX)
        return false;
    head.n = comma;
    /* "image\/png" of some writers */
    struct str plain = jstr_decode((struct jstr){head.p, head.n}, n->arena);
    str_cut(plain, ';', &type, &params);
    if (!str_ends(params, STR("base64")) || !is_media_type(type))
        return false;
    b->source = MEDIA_BASE64;
    b->text = (struct jstr){url.p + 5 + comma + 1, url.n - 5 - comma - 1};
    if (!base64_mend(n, &b->text))
        return false;
    struct jstr sniffed = media_sniff(b->text);
    if (str_ieq(type, STR("image/jpg")))
        type = STR("image/jpeg");
    b->media_type = (struct jstr){type.p, type.n};
    /* what the bytes say counts, where the type is missing or is another image's */
    if (sniffed.n && (!type.n || (str_starts(type, STR("image/")) && sniffed.p[0] == 'i')))
        b->media_type = sniffed;
    return true;
}

/* --- effort
 * ---------------------------------------------------------------------------------------- */

static const struct {
    struct str name;
    uint64_t budget;
} efforts[] = {
    [EFFORT_UNSET] = {STR_INIT(""), 0},
    [EFFORT_NONE] = {STR_INIT("none"), 0},
    [EFFORT_MINIMAL] = {STR_INIT("minimal"), 1024},
    [EFFORT_LOW] = {STR_INIT("low"), 1024},
    [EFFORT_MEDIUM] = {STR_INIT("medium"), 2048},
    [EFFORT_HIGH] = {STR_INIT("high"), 4096},
    [EFFORT_XHIGH] = {STR_INIT("xhigh"), 8192},
    [EFFORT_MAX] = {STR_INIT("max"), 16384},
};

enum effort effort_of(struct jstr name)
{
    for (size_t i = 1; i < ARRAY_LEN(efforts); i++)
        if (jstr_is(name, efforts[i].name))
            return (enum effort)i;
    return EFFORT_UNSET;
}

struct str effort_name(enum effort e)
{
    return efforts[e].name;
}

uint64_t effort_budget(enum effort e)
{
    return efforts[e].budget;
}

enum effort effort_of_budget(uint64_t tokens)
{
    return tokens < 2000 ? EFFORT_LOW : tokens < 8000 ? EFFORT_MEDIUM : EFFORT_HIGH;
}

/* --- sealed reasoning
 * ------------------------------------------------------------------------------ */

/* weir1.<origin>.<1: redacted>.<bytes of id>.<id><signature>; nothing in it needs an escape that
 * was not there. */
static const struct str seal = STR_INIT("weir1.");

struct jstr reasoning_seal(struct arena *a, enum api origin, struct jstr id, struct jstr signature,
                           bool is_redacted)
{
    struct str s =
        arena_printf(a, STR_FMT "%u.%u.%zu." STR_FMT STR_FMT, STR_ARG(seal), (unsigned)origin,
                     (unsigned)is_redacted, id.n, STR_ARG(id), STR_ARG(signature));

    return (struct jstr){s.p, s.n};
}

bool reasoning_open(struct block *b, struct jstr sealed)
{
    struct str s = {sealed.p, sealed.n}, part[3];
    uint32_t v[3];

    if (!str_starts(s, seal))
        return false;
    s = str_from(s, seal.n);
    for (unsigned i = 0; i < 3; i++)
        if (!str_cut(s, '.', &part[i], &s) || !num_u32(part[i], &v[i]))
            return false;
    if (v[0] >= API_COUNT || v[1] > 1 || v[2] > s.n ||
        jstr_has_escapes((struct jstr){s.p, v[2]})) /* which the end of the id might cut in two */
        return false;
    b->origin = (uint8_t)v[0];
    b->is_redacted = v[1];
    b->id = (struct jstr){s.p, v[2]};
    b->signature = (struct jstr){s.p + v[2], s.n - v[2]};
    return true;
}

struct jstr neutral_session(const struct neutral *n, struct bufpool *pool)
{
    struct jstr session = JSTR_NONE;
    struct json_tape t;

    if (n->from != API_MESSAGES || !jstr_starts(n->user, STR("{")))
        return session;
    struct str user = jstr_decode(n->user, n->arena);
    json_tape_init(&t, pool);
    if (json_tape_read(&t, user.p, user.n) == JSON_TAPE_DONE)
        session = json_text(&t, JSON_GET(&t, json_root(&t), "session_id"));
    json_tape_deinit(&t);
    return session;
}
