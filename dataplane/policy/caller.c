/* Look-ups and nothing else: what follows from them is decided in checks.c, budget.c, limits.c. */

#include "policy/caller.h"

#include "common/json_scan.h"
#include "common/num.h"

void caller_resolve(struct caller *c, struct identities *i, struct identity_found key)
{
    c->identities = i;
    c->key = key;
    if (!key.identity)
        return;
    if (key.identity->flags & IDENTITY_SUCCEEDED) {
        struct identity_found next = identities_get(i, key.identity->successor);
        if (next.identity && next.identity->kind == IDENTITY_KEY)
            c->key = next;
    }
    const struct identity *k = c->key.identity;
    c->team = identities_get(i, k->team);
    c->user = identities_get(i, k->user);
    c->member = identities_get(i, k->member);
    c->project = identities_get(i, k->project);
    c->organization = identities_get(i, k->organization);
    if (!found(&c->organization) && found(&c->team))
        c->organization = identities_get(i, c->team.identity->organization);
    c->is_admin = found(&c->user) && c->user.identity->role == ROLE_PROXY_ADMIN;
}

bool caller_tag_add(struct caller *c, struct str name, struct arena *a)
{
    if (!name.n)
        return true;
    for (unsigned i = 0; i < c->n_tags; i++)
        if (str_eq(c->tag[i].name, name))
            return true;
    if (!c->tag)
        c->tag = arena_alloc(a, CALLER_TAGS * sizeof *c->tag);
    if (!c->tag || c->n_tags == CALLER_TAGS)
        return false;
    struct caller_tag *t = &c->tag[c->n_tags++];
    t->name = name;
    t->found = c->identities ? identities_named(c->identities, IDENTITY_TAG, name)
                             : (struct identity_found){0};
    return true;
}

struct tag_reader {
    struct caller *c;
    struct arena *a;
};

static void on_tag(void *ctx, const struct json_member *m)
{
    struct tag_reader *r = ctx;
    struct str inner = json_text_inner(m->text);

    if (m->type != JSON_STRING || !inner.n)
        return;
    char *out = arena_alloc(r->a, inner.n);
    size_t n = out ? json_unescape(out, inner) : SIZE_MAX;
    if (n != SIZE_MAX)
        (void)caller_tag_add(r->c, (struct str){out, n},
                             r->a); /* beyond the last one: not counted */
}

void caller_tags_json(struct caller *c, struct str json, struct arena *a)
{
    static const struct json_watch element = {.id = 1};
    static const struct json_watch root = {.elements = &element};
    struct tag_reader r = {c, a};
    struct json_scan scan UNINITIALIZED;

    if (!json.n || json.p[0] != '[')
        return;
    json_scan_init(&scan, &root, on_tag, &r);
    (void)json_scan_feed(&scan, json.p, json.n); /* the body was read once: it is well formed */
}

void caller_tags_header(struct caller *c, struct str value, struct arena *a)
{
    struct str one;

    while (value.n) {
        (void)str_cut(value, ',', &one, &value);
        (void)caller_tag_add(c, str_trim(one), a);
    }
}

void caller_tags_own(struct caller *c, struct arena *a)
{
    const struct identity_found *of[] = {&c->key, &c->team};
    struct str name;

    for (size_t k = 0; k < ARRAY_LEN(of); k++)
        for (uint32_t i = 0; of[k]->rules && found_name(of[k], of[k]->rules->tags, i, &name); i++)
            (void)caller_tag_add(c, name, a);
}

void caller_end_user(struct caller *c, struct str id)
{
    c->end_user_id = id;
    c->end_user = id.n && c->identities ? identities_named(c->identities, IDENTITY_END_USER, id)
                                        : (struct identity_found){0};
}

struct str key_hash_text(struct arena *a, const struct identity_found *key)
{
    struct str id = found_id(key);
    char *out = arena_alloc(a, 2 * id.n);

    return out ? (struct str){out, num_put_hex(out, id.p, id.n)} : (struct str){0};
}

/* ---- metadata ---- */

struct member_finder {
    struct str text, value;
};

static void on_metadata(void *ctx, const struct json_member *m)
{
    struct member_finder *f = ctx;

    f->value = (struct str){f->text.p + m->at, m->end - m->at};
}

struct str metadata_member(const struct identity_found *f, struct str name)
{
    struct str text = f->rules ? snap_str(f->s, f->rules->metadata) : (struct str){0};

    if (text.n < name.n || str_find(text, name) == SIZE_MAX) /* most have none */
        return (struct str){0};
    struct json_watch member = {.key = name, .id = 1};
    struct json_watch root = {.children = &member, .n_children = 1};
    struct member_finder finder = {.text = text};
    struct json_scan scan;
    json_scan_init(&scan, &root, on_metadata, &finder);
    if (json_scan_feed(&scan, text.p, text.n) != JSON_SCAN_DONE)
        return (struct str){0};
    return finder.value;
}
