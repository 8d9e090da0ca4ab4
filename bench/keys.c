/*
 * What the link and a worker do with N keys (a million), without sockets:
 *
 *   weir-bench-keys [N]
 *
 * One JSON object: seconds from entities to both sealed files; bytes of them a key; milliseconds of
 * one change, from the entity to a worker's view of it, with a grown overlay and while a base is
 * merged; nanoseconds of a look-up by digest with team and rules, of one key again and again and of
 * keys at random; seconds of saving, and from disk to a worker's view.
 */

#include <unistd.h>

#include "common/clock.h"
#include "common/num.h"

#include "snapshot/directory.h"
#include "snapshot/identity.h"

enum { TEAMS = 10000, USERS = 100000, CHANGES = 20000, LOOKUPS = 200000 };

static uint32_t n_keys = 1000000;
static struct directory *directory;
static struct identities *view;
static struct directory_revision revision = {1, 0};
static const unsigned char disk_key[DIRECTORY_KEY] = {1};

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void hash_of(unsigned char out[IDENTITY_HASH], uint32_t key)
{
    random_state = (uint64_t)key << 20;
    for (unsigned i = 0; i < IDENTITY_HASH; i += 8) {
        uint64_t z = random_next();
        memcpy(out + i, &z, 8);
    }
}

static ProtobufCBinaryData bytes(const char *s)
{
    return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
}

static void must(enum errc rc, const struct err *e)
{
    if (rc) {
        (void)fprintf(stderr, "%s\n", e->msg);
        exit(1);
    }
}

/* Key `i` as a control plane sends it: team, user, name, alias, models, one of twenty budgets. */
static void put_key(uint32_t i, int64_t tpm)
{
    static const char *const models[] = {"gpt-4o", "claude-sonnet-4", "gemini-2.5-pro", "o3"};
    unsigned char hash[IDENTITY_HASH];
    char name[16], alias[32], team[40], user[40];
    Weir__Key key = WEIR__KEY__INIT;
    Weir__Limits limits;
    Weir__Bound budget = WEIR__BOUND__INIT, tokens = WEIR__BOUND__INIT;
    Weir__Entity en = WEIR__ENTITY__INIT;
    ProtobufCBinaryData listed[2] = {bytes(models[i % 4]), bytes(models[i / 4 % 4])};
    struct err e;

    weir__limits__init(&limits);
    hash_of(hash, i);
    (void)snprintf(name, sizeof name, "sk-...%04x", i & 0xffff);
    (void)snprintf(alias, sizeof alias, "key-%u", i);
    (void)snprintf(team, sizeof team, "8f2c1a34-7b1d-4e55-9c3f-%012u", i % TEAMS);
    (void)snprintf(user, sizeof user, "user-%u", i % USERS);
    key.hash = (ProtobufCBinaryData){sizeof hash, hash};
    key.name = bytes(name);
    key.alias = bytes(alias);
    key.team = bytes(team);
    key.user = bytes(user);
    key.models = listed;
    key.n_models = 2;
    budget.value = (int64_t)(i % 20 + 1) * 1000000000;
    tokens.value = tpm;
    limits.max_budget_nusd = &budget;
    limits.tpm = &tokens;
    limits.budget_reset_us = (int64_t)i * 1000;
    key.limits = &limits;
    en.is_case = WEIR__ENTITY__IS_KEY;
    en.key = &key;
    must(directory_apply(directory, &en, &e), &e);
}

static void put_teams(void)
{
    struct err e;

    for (uint32_t i = 0; i < TEAMS; i++) {
        Weir__Team team = WEIR__TEAM__INIT;
        Weir__Entity en = WEIR__ENTITY__INIT;
        char id[40], alias[24];
        (void)snprintf(id, sizeof id, "8f2c1a34-7b1d-4e55-9c3f-%012u", i);
        (void)snprintf(alias, sizeof alias, "team %u", i);
        team.id = bytes(id);
        team.alias = bytes(alias);
        en.is_case = WEIR__ENTITY__IS_TEAM;
        en.team = &team;
        must(directory_apply(directory, &en, &e), &e);
    }
}

static void put_users(void)
{
    struct err e;

    for (uint32_t i = 0; i < USERS; i++) {
        Weir__User user = WEIR__USER__INIT;
        Weir__Entity en = WEIR__ENTITY__INIT;
        char id[40], mail[40];
        (void)snprintf(id, sizeof id, "user-%u", i);
        (void)snprintf(mail, sizeof mail, "user-%u@example.org", i);
        user.id = bytes(id);
        user.email = bytes(mail);
        user.role = bytes("internal_user");
        en.is_case = WEIR__ENTITY__IS_USER;
        en.user = &user;
        must(directory_apply(directory, &en, &e), &e);
    }
}

/* Seals and adopts, as link and worker do. True: with a new base. */
static bool seal(void)
{
    struct identities *newer;
    struct err e;
    int base, overlay;

    revision.n++;
    must(directory_seal(directory, revision, &base, &overlay, &e), &e);
    must(base >= 0 ? identities_open(&newer, base, overlay, &e)
                   : identities_over(&newer, view, overlay, &e),
         &e);
    view = identities_unref(view);
    view = newer;
    if (base >= 0)
        (void)close(base);
    (void)close(overlay);
    return base >= 0;
}

static double seconds_since(uint64_t from_ns)
{
    return (double)(clock_mono_ns() - from_ns) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Changes one by one over several merges. */
static void measure_changes(void)
{
    static double ms[CHANGES];
    unsigned bases = 0;

    for (unsigned i = 0; i < CHANGES; i++) {
        random_state = i;
        uint32_t key = (uint32_t)(random_next() % n_keys);
        uint64_t from = clock_mono_ns();
        put_key(key, i);
        bases += seal();
        ms[i] = seconds_since(from) * 1e3;
    }
    qsort(ms, CHANGES, sizeof *ms, by_value);
    (void)printf("\"change_p50_ms\": %.3f, \"change_p99_ms\": %.3f, \"change_max_ms\": %.3f, "
                 "\"bases\": %u, ",
                 ms[CHANGES / 2], ms[CHANGES * 99 / 100], ms[CHANGES - 1], bases);
}

/* What a check of a key reads first: its entry, its rules, its team. */
static uint64_t look_up(const unsigned char *hash)
{
    struct identity_found key = identities_key(view, hash);

    if (!key.identity)
        exit(1);
    struct identity_found team = identities_get(view, key.identity->team);
    return (uint64_t)key.rules->max_budget_nusd + team.identity->flags + key.identity->flags;
}

static double measure_lookups(bool hot)
{
    static double ns[LOOKUPS];
    static volatile uint64_t sink;
    unsigned char hash[IDENTITY_HASH];

    for (unsigned i = 0; i < LOOKUPS; i++) {
        random_state = i * 7919u;
        hash_of(hash, hot ? i % 64 : (uint32_t)(random_next() % n_keys));
        uint64_t from = clock_mono_ns();
        sink = sink + look_up(hash);
        ns[i] = (double)(clock_mono_ns() - from); /* with what reading the clock takes */
    }
    qsort(ns, LOOKUPS, sizeof *ns, by_value);
    return ns[LOOKUPS / 2];
}

static void measure_disk(void)
{
    char dir[] = "/tmp/weir-bench-keys-XXXXXX", path[64], base[96];
    struct directory_options o = {0};
    struct err e;

    if (!mkdtemp(dir))
        exit(1);
    (void)snprintf(path, sizeof path, "%s/last", dir);
    uint64_t from = clock_mono_ns();
    must(directory_save(directory, path, disk_key, &e), &e);
    (void)printf("\"save_s\": %.3f, ", seconds_since(from));
    (void)snprintf(base, sizeof base, "%s.%llu", path,
                   (unsigned long long)identities_base(view)->n);
    directory = directory_free(directory);
    view = identities_unref(view);
    directory = directory_new(&o);
    from = clock_mono_ns();
    must(directory_load(directory, path, disk_key, &e), &e);
    revision = directory_revision(directory);
    (void)seal();
    (void)printf("\"load_s\": %.3f", seconds_since(from));
    (void)unlink(path);
    (void)unlink(base);
    (void)rmdir(dir);
}

int main(int argc, char **argv)
{
    struct directory_options o = {0};
    struct err e;

    if (argc > 1 && (!num_u32(str_of(argv[1]), &n_keys) || !n_keys))
        return 2;
    directory = directory_new(&o);
    uint64_t from = clock_mono_ns();
    must(directory_full(directory, &e), &e);
    for (uint32_t i = 0; i < n_keys; i++)
        put_key(i, 0);
    put_teams();
    put_users();
    (void)seal();
    (void)printf("{\"keys\": %u, \"build_s\": %.3f, \"bytes_a_key\": %.1f, ", n_keys,
                 seconds_since(from), (double)identities_base(view)->total_size / n_keys);
    (void)printf("\"lookup_hot_ns\": %.0f, ", measure_lookups(true));
    (void)printf("\"lookup_random_ns\": %.0f, ", measure_lookups(false));
    measure_changes();
    measure_disk();
    (void)printf("}\n");
    directory = directory_free(directory);
    view = identities_unref(view);
    return 0;
}
