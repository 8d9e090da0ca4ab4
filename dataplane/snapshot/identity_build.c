/*
 * A file is  header, texts | entries | rules | by_slot | by_id.  The texts, with the lists that
 * rules refer to, are made behind room for the header, so that references are right from the start
 * and nothing is moved when the rest follows.
 *
 * Equal rules are found by what they say, not by where it lies: a table tells which members of
 * struct identity_rules refer to what, and hashing, comparing and copying walk it.
 */

#include "snapshot/identity_build.h"

#include <unistd.h>

#include "snapshot/sealed.h"

static const char what[] = "identities";

/* ---- memory ---- */

/* The array with room for `n` things of `size` bytes, growing by half; NULL: it stays as it was. */
static void *grow(void *p, uint32_t *cap, size_t n, size_t size)
{
    size_t more = MAX(n, *cap + *cap / 2 + 16);

    if (n <= *cap)
        return p;
    void *moved = more <= UINT32_MAX / 2 ? realloc(p, more * size) : NULL;
    if (moved)
        *cap = (uint32_t)more;
    return moved;
}

uint32_t image_text(struct image *m, size_t n, size_t align)
{
    size_t at = (m->texts.size + align - 1) & ~(align - 1), end = at + n;

    if (m->failed || end > UINT32_MAX / 2) { /* what follows the texts needs room too */
        m->failed = true;
        return SNAP_NONE;
    }
    if (end > m->cap) {
        size_t cap = MAX(end, m->cap + m->cap / 2 + 4096);
        char *moved = realloc((char *)(uintptr_t)m->texts.base, cap);
        if (!moved) {
            m->failed = true;
            return SNAP_NONE;
        }
        m->texts.base = moved;
        m->cap = cap;
    }
    char *bytes = (char *)(uintptr_t)m->texts.base; /* ours, though readers see it as const */
    memset(bytes + m->texts.size, 0, at - m->texts.size);
    m->texts.size = end;
    return (uint32_t)at;
}

void *image_at(const struct image *m, uint32_t off)
{
    return (char *)(uintptr_t)m->texts.base + off;
}

void image_init(struct image *m, bool keeps_stamps)
{
    *m = (struct image){.keeps_stamps = keeps_stamps};
    uint32_t at = image_text(m, sizeof(struct identity_header), 8);
    if (at != SNAP_NONE)
        memset(image_at(m, at), 0, sizeof(struct identity_header));
    struct identity_rules none = rules_none();
    (void)image_rules(m, &m->texts, &none); /* place 0 */
}

static void index_free(struct image_index *x)
{
    free(x->words);
    *x = (struct image_index){0};
}

void image_deinit(struct image *m)
{
    free((char *)(uintptr_t)m->texts.base);
    free(m->entries);
    free(m->stamps);
    free(m->rules);
    index_free(&m->by_id);
    index_free(&m->by_rules);
    *m = (struct image){0};
}

/* ---- indexes ---- */

/* Places for `n` with a quarter of them free. */
static uint32_t index_size(uint32_t n)
{
    uint32_t size = 16;

    while (size / 4 * 3 <= n)
        size *= 2;
    return size;
}

static bool index_clear(struct image_index *x, uint32_t size)
{
    uint32_t *words = malloc(size * sizeof *words);

    if (!words)
        return false;
    memset(words, 0xff, size * sizeof *words); /* SNAP_NONE */
    free(x->words);
    *x = (struct image_index){words, size, 0};
    return true;
}

static void index_put(struct image_index *x, uint32_t hash, uint32_t at)
{
    uint32_t place = hash & (x->size - 1);

    while (x->words[place] != SNAP_NONE)
        place = (place + 1) & (x->size - 1);
    x->words[place] = identity_word(hash, at, x->size);
    x->n++;
}

/* The place of the next one with this hash; *probe goes on. SNAP_NONE: no more. */
static uint32_t index_next(const struct image_index *x, uint32_t hash, uint32_t *probe)
{
    const uint32_t mask = x->size - 1;

    for (; *probe < x->size; (*probe)++) {
        uint32_t word = x->words[(hash + *probe) & mask];
        if (word == SNAP_NONE)
            return SNAP_NONE;
        if (((word ^ hash) & ~mask) == 0) {
            (*probe)++;
            return word & mask;
        }
    }
    return SNAP_NONE;
}

/* ---- rules ---- */

enum shape { TEXT, TEXTS, SLOTS, MODEL_LIMITS };

static const struct {
    uint16_t at;
    uint8_t shape;
} rule_refs[] = {
    {offsetof(struct identity_rules, models), TEXTS},
    {offsetof(struct identity_rules, access_groups), SLOTS},
    {offsetof(struct identity_rules, aliases), TEXTS},
    {offsetof(struct identity_rules, routes), TEXTS},
    {offsetof(struct identity_rules, ips), TEXTS},
    {offsetof(struct identity_rules, tags), TEXTS},
    {offsetof(struct identity_rules, metadata), TEXT},
    {offsetof(struct identity_rules, model_limits), MODEL_LIMITS},
    {offsetof(struct identity_rules, default_model), TEXT},
    {offsetof(struct identity_rules, budget_duration), TEXT},
};

enum {
    NUMBERS_AT = offsetof(struct identity_rules, max_budget_nusd),
    NUMBERS_N = offsetof(struct identity_rules, budget_duration) - NUMBERS_AT,
    LIMITS_AT = offsetof(struct identity_model_limit, tpm),
    LIMITS_N = offsetof(struct identity_model_limit, budget_duration) - LIMITS_AT,
};

struct identity_rules rules_none(void)
{
    return (struct identity_rules){.max_budget_nusd = LIMIT_NONE,
                                   .soft_budget_nusd = LIMIT_NONE,
                                   .tpm = LIMIT_NONE,
                                   .rpm = LIMIT_NONE,
                                   .parallel = LIMIT_NONE};
}

static struct snap_ref ref_of(const struct identity_rules *r, size_t i)
{
    struct snap_ref ref;

    memcpy(&ref, (const char *)r + rule_refs[i].at, sizeof ref);
    return ref;
}

static uint32_t mix(uint32_t h, const void *p, size_t n)
{
    return (h ^ snap_hash(p, n)) * UINT32_C(0x9e3779b1) + (uint32_t)n;
}

static uint32_t mix_text(uint32_t h, const struct snapshot *s, struct snap_ref r)
{
    struct str t = snap_str(s, r);

    return mix(h, t.p, t.n);
}

static uint32_t rules_hash(const struct snapshot *s, const struct identity_rules *r)
{
    uint32_t h = mix(0, (const char *)r + NUMBERS_AT, NUMBERS_N);

    for (size_t i = 0; i < ARRAY_LEN(rule_refs); i++) {
        struct snap_ref ref = ref_of(r, i);
        h = mix(h, &ref.n, sizeof ref.n);
        for (uint32_t k = 0; k < ref.n; k++) {
            const struct snap_ref *text;
            const struct identity_model_limit *l;
            const uint32_t *slot;
            switch ((enum shape)rule_refs[i].shape) {
            case TEXT:
                h = mix_text(h, s, ref);
                k = ref.n - 1;
                break;
            case TEXTS:
                text = SNAP_AT(s, ref, struct snap_ref, k);
                h = text ? mix_text(h, s, *text) : h;
                break;
            case SLOTS:
                slot = SNAP_AT(s, ref, uint32_t, k);
                h = slot ? mix(h, slot, sizeof *slot) : h;
                break;
            case MODEL_LIMITS:
                l = SNAP_AT(s, ref, struct identity_model_limit, k);
                h = l ? mix(mix_text(h, s, l->model), (const char *)l + LIMITS_AT, LIMITS_N) : h;
                break;
            }
        }
    }
    return h;
}

static bool text_equal(const struct snapshot *sa, const struct snap_ref *a,
                       const struct snapshot *sb, const struct snap_ref *b)
{
    return a && b && str_eq(snap_str(sa, *a), snap_str(sb, *b));
}

static bool limit_equal(const struct snapshot *sa, const struct identity_model_limit *a,
                        const struct snapshot *sb, const struct identity_model_limit *b)
{
    return a && b && text_equal(sa, &a->model, sb, &b->model) &&
           memcmp((const char *)a + LIMITS_AT, (const char *)b + LIMITS_AT, LIMITS_N) == 0 &&
           text_equal(sa, &a->budget_duration, sb, &b->budget_duration);
}

static bool refs_equal(enum shape shape, const struct snapshot *sa, struct snap_ref a,
                       const struct snapshot *sb, struct snap_ref b)
{
    if (a.n != b.n || shape == TEXT)
        return a.n == b.n && text_equal(sa, &a, sb, &b);
    for (uint32_t k = 0; k < a.n; k++) {
        const uint32_t *x = shape == SLOTS ? SNAP_AT(sa, a, uint32_t, k) : NULL;
        const uint32_t *y = shape == SLOTS ? SNAP_AT(sb, b, uint32_t, k) : NULL;
        if (shape == SLOTS && !(x && y && *x == *y))
            return false;
        if (shape == TEXTS && !text_equal(sa, SNAP_AT(sa, a, struct snap_ref, k), sb,
                                          SNAP_AT(sb, b, struct snap_ref, k)))
            return false;
        if (shape == MODEL_LIMITS &&
            !limit_equal(sa, SNAP_AT(sa, a, struct identity_model_limit, k), sb,
                         SNAP_AT(sb, b, struct identity_model_limit, k)))
            return false;
    }
    return true;
}

bool rules_equal(const struct snapshot *sa, const struct identity_rules *a,
                 const struct snapshot *sb, const struct identity_rules *b)
{
    if (memcmp((const char *)a + NUMBERS_AT, (const char *)b + NUMBERS_AT, NUMBERS_N) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(rule_refs); i++)
        if (!refs_equal((enum shape)rule_refs[i].shape, sa, ref_of(a, i), sb, ref_of(b, i)))
            return false;
    return true;
}

static struct snap_ref copy_bytes(struct image *m, struct str t)
{
    uint32_t off = t.n ? image_text(m, t.n, 1) : SNAP_NONE;

    if (off == SNAP_NONE)
        return (struct snap_ref){0};
    memcpy(image_at(m, off), t.p, t.n);
    return (struct snap_ref){off, (uint32_t)t.n};
}

static struct snap_ref copy_text(struct image *m, const struct snapshot *from, struct snap_ref r)
{
    return copy_bytes(m, snap_str(from, r));
}

/* A list first, then what its items refer to. */
static struct snap_ref copy_list(struct image *m, const struct snapshot *from, struct snap_ref r,
                                 enum shape shape)
{
    static const uint8_t sizes[] = {[TEXTS] = sizeof(struct snap_ref),
                                    [SLOTS] = sizeof(uint32_t),
                                    [MODEL_LIMITS] = sizeof(struct identity_model_limit)};
    size_t size = sizes[shape];

    if (!r.n || !snap_at(from, r, r.n - 1, size))
        return (struct snap_ref){0};
    uint32_t off = image_text(m, r.n * size, 8);
    if (off == SNAP_NONE)
        return (struct snap_ref){0};
    memcpy(image_at(m, off), snap_at(from, r, 0, size), r.n * size);
    for (uint32_t k = 0; k < r.n && shape == TEXTS; k++) {
        struct snap_ref *ref = image_at(m, off + k * (uint32_t)size), copy = *ref;
        copy = copy_text(m, from, copy);
        ref = image_at(m, off + k * (uint32_t)size); /* it may have moved */
        *ref = copy;
    }
    for (uint32_t k = 0; k < r.n && shape == MODEL_LIMITS; k++) {
        struct identity_model_limit *l = image_at(m, off + k * (uint32_t)size), copy = *l;
        copy.model = copy_text(m, from, copy.model);
        copy.budget_duration = copy_text(m, from, copy.budget_duration);
        l = image_at(m, off + k * (uint32_t)size);
        *l = copy;
    }
    return (struct snap_ref){off, r.n};
}

static struct identity_rules rules_copy(struct image *m, const struct snapshot *from,
                                        const struct identity_rules *r)
{
    struct identity_rules ret = *r;

    for (size_t i = 0; i < ARRAY_LEN(rule_refs); i++) {
        enum shape shape = (enum shape)rule_refs[i].shape;
        struct snap_ref ref = ref_of(r, i);
        ref = shape == TEXT ? copy_text(m, from, ref) : copy_list(m, from, ref, shape);
        memcpy((char *)&ret + rule_refs[i].at, &ref, sizeof ref);
    }
    return ret;
}

static bool rules_index_grow(struct image *m)
{
    if (!index_clear(&m->by_rules, index_size(m->n_rules * 2)))
        return false;
    for (uint32_t i = 0; i < m->n_rules; i++)
        index_put(&m->by_rules, rules_hash(&m->texts, &m->rules[i]), i);
    return true;
}

uint32_t image_rules(struct image *m, const struct snapshot *from, const struct identity_rules *r)
{
    uint32_t hash = rules_hash(from, r), probe = 0, at;

    while ((at = index_next(&m->by_rules, hash, &probe)) != SNAP_NONE)
        if (rules_equal(&m->texts, &m->rules[at], from, r))
            return at;
    struct identity_rules *moved = grow(m->rules, &m->cap_rules, m->n_rules + 1, sizeof *m->rules);
    m->rules = moved ? moved : m->rules;
    if (!moved || (m->n_rules + 1 > m->by_rules.size / 4 * 3 && !rules_index_grow(m))) {
        m->failed = true;
        return 0;
    }
    at = m->n_rules;
    m->rules[at] = rules_copy(m, from, r);
    if (m->failed)
        return 0;
    m->n_rules++;
    index_put(&m->by_rules, hash, at);
    return at;
}

/* ---- entries ---- */

static struct str entry_text(const struct snapshot *s, const struct identity *it)
{
    return identity_text(s, it, 0, (uint32_t)it->id_n + it->name_n + it->alias_n);
}

static uint32_t entry_hash(const struct snapshot *s, const struct identity *it)
{
    return identity_hash((enum identity_kind)it->kind, identity_text(s, it, 0, it->id_n));
}

static bool id_index_grow(struct image *m, uint32_t n)
{
    if (!index_clear(&m->by_id, index_size(n)))
        return false;
    for (uint32_t i = 0; i < m->n_entries; i++)
        index_put(&m->by_id, entry_hash(&m->texts, &m->entries[i]), i);
    return true;
}

static bool entries_grow(struct image *m, uint32_t n)
{
    uint32_t cap = m->cap_entries;

    if (n <= cap)
        return true;
    struct identity *moved = grow(m->entries, &cap, n, sizeof *m->entries);
    if (!moved)
        return false;
    m->entries = moved;
    if (m->keeps_stamps) {
        uint64_t *stamps = realloc(m->stamps, cap * sizeof *stamps);
        if (!stamps)
            return false;
        m->stamps = stamps;
    }
    m->cap_entries = cap;
    return true;
}

void image_reserve(struct image *m, uint32_t entries, size_t text_bytes)
{
    size_t had = m->texts.size;

    if (!entries_grow(m, entries) || !id_index_grow(m, entries))
        m->failed = true;
    if (image_text(m, text_bytes, 1) != SNAP_NONE)
        m->texts.size = had;
}

uint32_t image_find(const struct image *m, enum identity_kind kind, struct str id, uint32_t hash)
{
    uint32_t probe = 0, at;

    while ((at = index_next(&m->by_id, hash, &probe)) != SNAP_NONE) {
        const struct identity *it = &m->entries[at];
        if (it->kind == kind && str_eq(identity_text(&m->texts, it, 0, it->id_n), id))
            return at;
    }
    return SNAP_NONE;
}

uint32_t image_put(struct image *m, const struct snapshot *from, const struct identity *it,
                   uint32_t rules, uint64_t stamp)
{
    struct str id = identity_text(from, it, 0, it->id_n), text = entry_text(from, it);
    uint32_t hash = identity_hash((enum identity_kind)it->kind, id);
    uint32_t at = image_find(m, (enum identity_kind)it->kind, id, hash);
    bool is_new = at == SNAP_NONE;

    if (is_new) {
        at = m->n_entries;
        if (!entries_grow(m, at + 1) ||
            (at + 1 > m->by_id.size / 4 * 3 && !id_index_grow(m, (at + 1) * 2 - 1)))
            m->failed = true;
    }
    uint32_t had = is_new ? SNAP_NONE : m->entries[at].text;
    if (m->failed)
        return SNAP_NONE;
    struct snap_ref ref = {had, 0};
    if (is_new || !str_eq(entry_text(&m->texts, &m->entries[at]), text))
        ref = copy_bytes(m, text);
    if (m->failed)
        return SNAP_NONE;
    m->entries[at] = *it;
    m->entries[at].text = ref.off;
    m->entries[at].rules = rules;
    if (m->keeps_stamps)
        m->stamps[at] = stamp;
    if (is_new) {
        m->n_entries++;
        index_put(&m->by_id, hash, at);
    }
    return at;
}

/* ---- the file ---- */

/* A base: places by slot. An overlay: an index. */
static bool by_slot_make(const struct image *m, uint32_t slots, struct image_index *x)
{
    if (!index_clear(x, slots ? slots : index_size(m->n_entries)))
        return false;
    for (uint32_t i = 0; i < m->n_entries; i++) {
        uint32_t slot = m->entries[i].slot;
        if (!slots)
            index_put(x, identity_slot_hash(slot), i);
        else if (slot < slots)
            x->words[slot] = i;
    }
    return true;
}

struct part {
    void *p;
    size_t n, size;
    struct snap_ref *ref; /* of the header: where it is to lie */
};

/* `take`: each is freed when it is written, so that a large file is never there twice. */
static enum errc write_parts(int fd, const struct part *parts, size_t n, bool take, struct err *e)
{
    static const char zeros[64];
    enum errc rc = ERRC_OK;
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        size_t bytes = parts[i].n * parts[i].size;
        if (!rc)
            rc = sealed_write(fd, zeros, parts[i].ref->off - at, what, e);
        if (!rc)
            rc = sealed_write(fd, parts[i].p, bytes, what, e);
        at = parts[i].ref->off + bytes;
        if (take)
            free(parts[i].p);
    }
    return rc ? rc : sealed_write(fd, zeros, -at & 7, what, e);
}

/* Lays them out and completes the header. */
static bool place_parts(const struct part *parts, size_t n, struct identity_header *h)
{
    uint64_t at = 0;

    for (size_t i = 0; i < n; i++) {
        at = (at + 63) & ~(uint64_t)63; /* an entry is one cache line */
        if (at + (uint64_t)parts[i].n * parts[i].size > UINT32_MAX - 64)
            return false;
        *parts[i].ref = (struct snap_ref){(uint32_t)at, (uint32_t)parts[i].n};
        at += parts[i].n * parts[i].size;
    }
    h->magic = IDENTITY_MAGIC;
    h->version = IDENTITY_VERSION;
    h->header_size = sizeof *h;
    h->total_size = (at + 7) & ~(uint64_t)7;
    return true;
}

enum errc image_seal(struct image *m, const struct identity_header *numbers, uint32_t slots,
                     int *ret_fd, struct err *e)
{
    struct identity_header h = *numbers;
    struct image_index by_slot = {0};
    struct snap_ref texts;
    enum errc rc;
    int fd;

    if (!m->by_id.words && !id_index_grow(m, 0))
        m->failed = true;
    if (m->failed)
        return err_set(e, ERRC_LIMIT, 0, "%s: more than a file holds, or no memory", what);
    if (!by_slot_make(m, slots, &by_slot))
        return err_set(e, ERRC_NOMEM, 0, "%s: index of slots", what);
    const struct part parts[] = {
        {image_at(m, 0), m->texts.size, 1, &texts},
        {m->entries, m->n_entries, sizeof *m->entries, &h.identities},
        {m->rules, m->n_rules, sizeof *m->rules, &h.rules},
        {by_slot.words, by_slot.size, sizeof(uint32_t), &h.by_slot},
        {m->by_id.words, m->by_id.size, sizeof(uint32_t), &h.by_id},
    };
    rc = place_parts(parts, ARRAY_LEN(parts), &h)
             ? sealed_open(&fd, what, e)
             : err_set(e, ERRC_LIMIT, 0, "%s: more than a file holds", what);
    if (rc) {
        index_free(&by_slot);
        return rc;
    }
    memcpy(image_at(m, 0), &h, sizeof h);
    rc = write_parts(fd, parts, ARRAY_LEN(parts), slots != 0, e);
    if (!rc)
        rc = sealed_finish(fd, what, e);
    if (rc)
        (void)close(fd); /* the failure is told already */
    else
        *ret_fd = fd;
    if (slots) { /* its parts are freed */
        free(m->stamps);
        index_free(&m->by_rules);
        *m = (struct image){.failed = rc != ERRC_OK};
    } else {
        index_free(&by_slot);
    }
    return rc;
}
