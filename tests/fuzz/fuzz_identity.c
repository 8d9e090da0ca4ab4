/*
 * A base and an overlay with any bytes changed: whatever identity_check() lets pass can be read.
 * Input is a list of changes to copies of both, an offset and a value of four bytes each; the
 * lowest bit of the offset chooses the file.
 */

#include <unistd.h>

#include "snapshot/directory.h"
#include "snapshot/identity_priv.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { KEYS = 24, CHANGED = 4 };

static struct snapshot *original[2]; /* base, overlay */
static volatile uint64_t result;     /* keeps the reads */

static ProtobufCBinaryData bytes(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
}

static void put_key(struct directory *d, uint8_t number, bool blocked)
{
    unsigned char hash[IDENTITY_HASH] = {number, 0, number, 7};
    ProtobufCBinaryData models[] = {bytes("a"), bytes("b*")};
    Weir__Key key = WEIR__KEY__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;
    struct err e;

    key.hash = (ProtobufCBinaryData){sizeof hash, hash};
    key.alias = bytes("alias");
    key.team = bytes(number % 2 ? "odd" : "even");
    key.models = models;
    key.n_models = 2;
    key.blocked = blocked;
    en.is_case = WEIR__ENTITY__IS_KEY;
    en.key = &key;
    ASSERT(directory_apply(d, &en, &e) == ERRC_OK);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct directory_options o = {0};
    struct directory *d = directory_new(&o);
    struct err e;
    int base, none, overlay;

    (void)argc;
    (void)argv;
    ASSERT(d);
    for (uint8_t i = 0; i < KEYS; i++)
        put_key(d, i, false);
    ASSERT(directory_seal(d, (struct directory_revision){1, 1}, &base, &none, &e) == ERRC_OK);
    (void)close(none);
    for (uint8_t i = 0; i < CHANGED; i++)
        put_key(d, (uint8_t)(i * 7), true);
    ASSERT(directory_seal(d, (struct directory_revision){1, 2}, &none, &overlay, &e) == ERRC_OK);
    ASSERT(identity_map(&original[0], base, 0, &e) == ERRC_OK);
    ASSERT(identity_map(&original[1], overlay, original[0]->identity->n, &e) == ERRC_OK);
    (void)close(base);
    (void)close(overlay);
    d = directory_free(d);
    return 0;
}

/* Every byte counts: reading them is the test. */
static uint64_t sum(struct str s)
{
    uint64_t v = 0;

    for (size_t i = 0; i < s.n; i++)
        v += (unsigned char)s.p[i];
    return v;
}

static uint64_t read_found(const struct identity_found *f)
{
    uint64_t v;

    if (!f->identity)
        return 0;
    v = sum(identity_id(f)) + sum(identity_name(f)) + sum(identity_alias(f)) +
        sum(snap_str(f->s, f->rules->metadata)) + (uint64_t)f->rules->tpm;
    for (uint32_t i = 0; i < f->rules->models.n; i++) {
        const struct snap_ref *r = SNAP_AT(f->s, f->rules->models, struct snap_ref, i);
        if (!r)
            break;
        v += sum(snap_str(f->s, *r));
    }
    return v;
}

static uint64_t walk(const struct identities *i)
{
    uint64_t v = 0;

    for (uint8_t k = 0; k < KEYS + 2; k++) {
        unsigned char hash[IDENTITY_HASH] = {k, 0, k, 7};
        struct identity_found f = identities_key(i, hash);
        v += read_found(&f);
        struct identity_found team =
            f.identity ? identities_get(i, f.identity->team) : identities_get(i, k);
        v += read_found(&team);
    }
    struct identity_found named = identities_named(i, IDENTITY_TEAM, STR("odd"));
    struct identity_found none = identities_get(i, SNAP_NONE);
    return v + read_found(&named) + read_found(&none);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct snapshot copy[2];
    struct err e;

    for (unsigned i = 0; i < 2; i++) {
        char *p = malloc(original[i]->size);
        ASSERT(p);
        memcpy(p, original[i]->base, original[i]->size);
        copy[i] = (struct snapshot){.base = p, .size = original[i]->size, .refs = 2};
        copy[i].identity = (const struct identity_header *)(const void *)p;
    }
    for (size_t i = 0; i + 8 <= n; i += 8) {
        uint32_t at;
        memcpy(&at, data + i, sizeof at);
        struct snapshot *s = &copy[at & 1];
        /* Half of the changes go to the header, where they matter most. */
        at = (at >> 2) % (uint32_t)((at & 2 ? sizeof(struct identity_header) : s->size) - 3);
        memcpy((char *)(uintptr_t)s->base + at, data + i + 4, 4);
    }
    if (identity_check(&copy[0], 0, &e) == ERRC_OK &&
        identity_check(&copy[1], copy[0].identity->n, &e) == ERRC_OK) {
        struct identities *view;
        ASSERT(identities_join(&view, &copy[0], &copy[1], &e) == ERRC_OK);
        result = walk(view);
        view = identities_unref(view); /* the copies have another reference: ours */
    }
    free((char *)(uintptr_t)copy[0].base);
    free((char *)(uintptr_t)copy[1].base);
    return 0;
}
