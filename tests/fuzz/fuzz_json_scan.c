/* Any bytes as a document: whole and in pieces give the same, and JSON is never refused. */

#include <yyjson.h>

#include "common/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct json_watch inner_watch[] = {{.key = STR_INIT("y"), .id = 4}};
static const struct json_watch object_watch[] = {
    {.key = STR_INIT("x"), .id = 2},
    {.key = STR_INIT("deep"), .id = 3, JSON_WATCH_CHILDREN(inner_watch)},
};
static const struct json_watch element_watch = {.id = 6, JSON_WATCH_CHILDREN(object_watch)};
static const struct json_watch root_watch[] = {
    {.key = STR_INIT("a"), .id = 1},
    {.key = STR_INIT("o"), .id = 7, JSON_WATCH_CHILDREN(object_watch)},
    {.key = STR_INIT("list"), .id = 5, .elements = &element_watch},
};
static const struct json_watch root = {JSON_WATCH_CHILDREN(root_watch)};

struct outcome {
    uint64_t hash; /* of all members */
    unsigned members;
    enum json_scan_state state;
    enum json_type type;
    bool word_seen;
};

static void hash_bytes(uint64_t *h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        *h = (*h ^ ((const unsigned char *)p)[i]) * UINT64_C(0x100000001b3);
}

static void on_member(void *ctx, const struct json_member *m)
{
    struct outcome *o = ctx;
    const uint64_t numbers[] = {
        m->id,     m->type,    m->depth, m->index, m->object_at, m->index ? m->prev_end : 0,
        m->key_at, m->key_end, m->at,    m->end,   m->key.n,     m->text.n,
    };

    ASSERT(m->object_at < m->at || m->depth == 0);
    ASSERT(m->key_at <= m->key_end && m->key_end <= m->at && m->at < m->end);
    ASSERT(m->text.n == 0 || m->text.n == m->end - m->at);
    hash_bytes(&o->hash, numbers, sizeof numbers);
    hash_bytes(&o->hash, m->key.p, m->key.n);
    hash_bytes(&o->hash, m->text.p, m->text.n);
    o->members++;
}

/* In pieces of 1 to `most` bytes (0: whole), each in memory of its own. */
static struct outcome scan(const uint8_t *data, size_t n, size_t most)
{
    struct outcome o = {0};
    struct json_scan s;
    uint64_t seed = n * most;

    memset(&s, 0xa5, sizeof s);
    json_scan_init(&s, &root, on_member, &o);
    s.all_members = true;
    s.word = STR("cache_control");
    o.state = json_scan_feed(&s, NULL, 0);
    for (size_t at = 0, piece; at < n; at += piece) {
        seed = seed * UINT64_C(6364136223846793005) + 1;
        piece = most ? MIN(1 + (seed >> 33) % most, n - at) : n;
        char *copy = malloc(piece);
        ASSERT(copy);
        memcpy(copy, data + at, piece);
        o.state = json_scan_feed(&s, copy, piece);
        free(copy);
    }
    o.type = n ? json_scan_root(&s) : JSON_NULL;
    o.word_seen = s.word_seen;
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const size_t most[] = {1, 3, 40, 200};

    struct outcome whole = scan(data, n, 0);
    for (size_t i = 0; i < ARRAY_LEN(most); i++) {
        struct outcome pieces = scan(data, n, most[i]);
        ASSERT(pieces.state == whole.state && pieces.members == whole.members &&
               pieces.hash == whole.hash);
        ASSERT(whole.state == JSON_SCAN_BAD || whole.state == JSON_SCAN_DEEP ||
               pieces.word_seen == whole.word_seen);
    }
    yyjson_doc *doc = yyjson_read((const char *)data, n, 0);
    if (doc && yyjson_is_ctn(yyjson_doc_get_root(doc)))
        ASSERT(whole.state == JSON_SCAN_DONE || whole.state == JSON_SCAN_DEEP);
    yyjson_doc_free(doc);
    return 0;
}
