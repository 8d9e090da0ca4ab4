/* Kept responses: found by id and tenant, the oldest overwritten first, never torn. */

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/response_store.h"
#include "tests/unit/test.h"

enum { MB = 1 << 20, NOW = 1700000000 };

static char path[64];
static struct bufpool pool;
static const unsigned char alice[RESPONSE_TENANT] = "alice", bob[RESPONSE_TENANT] = "bob";

static int setup(void **state)
{
    (void)state;
    pool = (struct bufpool){.ceiling = 64 << 20};
    (void)snprintf(path, sizeof path, "/tmp/weir-responses-%d", (int)getpid());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    bufpool_deinit(&pool);
    return unlink(path);
}

static struct response_store open_store(unsigned regions)
{
    struct response_store s = {0};
    struct err e;
    int fd;

    if (response_store_make(path, regions, &fd, &e) || response_store_map(&s, fd, &e))
        fail_msg("%s", e.msg);
    return s;
}

static void close_store(struct response_store *s)
{
    int fd = s->fd;

    response_store_unmap(s);
    (void)close(fd);
}

static struct response_id128 id_of(uint64_t n)
{
    return (struct response_id128){{n * UINT64_C(0x9e3779b97f4a7c15), n << 48 | n}};
}

/* A record whose bytes all tell its number. */
static void fill(char *text, size_t n, uint64_t number)
{
    memset(text, (int)('A' + number % 26), n);
}

static bool put(struct response_store *s, unsigned region, uint64_t n, size_t items,
                const unsigned char *tenant)
{
    struct str response = STR("{\"id\":\"resp\"}");
    char *text = malloc(items + 1);

    fill(text, items, n);
    bool ok = response_store_put(
        s, region, id_of(n), tenant, NOW,
        &(struct response_record){{text, items}, (uint32_t)(items / 2), response});
    free(text);
    return ok;
}

static bool has(const struct response_store *s, uint64_t n, size_t items,
                const unsigned char *tenant, uint64_t now_s)
{
    struct response_record r;
    struct buf b = {0};
    bool found = response_store_get(s, id_of(n), tenant, now_s, &pool, &b, &r);

    if (found) {
        assert_int_equal(r.items.n, items);
        assert_int_equal(r.n_input, items / 2);
        for (size_t i = 0; i < items; i++)
            assert_int_equal(r.items.p[i], 'A' + n % 26);
        assert_str(r.response, "{\"id\":\"resp\"}");
    }
    buf_free(&pool, &b);
    return found;
}

static void test_a_response_is_found_by_those_it_belongs_to(void **state)
{
    struct response_store s = open_store(3), other;
    struct response_id128 id;
    char text[RESPONSE_ID_TEXT];

    (void)state;
    assert_false(put(&s, 1, 1, 100, alice)); /* off */
    response_store_resize(&s, 1, MB);
    assert_true(put(&s, 1, 1, 100, alice));
    assert_true(put(&s, 1, 2, 0, bob));
    assert_true(has(&s, 1, 100, alice, NOW));
    assert_true(has(&s, 2, 0, bob, NOW));
    assert_false(has(&s, 1, 100, bob, NOW));
    assert_false(has(&s, 3, 0, alice, NOW));
    assert_true(has(&s, 1, 100, alice, NOW + RESPONSE_TTL_S - 1));
    assert_false(has(&s, 1, 100, alice, NOW + RESPONSE_TTL_S));

    /* another process, and the next manager */
    other = open_store(3);
    assert_true(has(&other, 1, 100, alice, NOW));
    close_store(&other);
    other = open_store(5);
    assert_int_equal(other.regions, 5);
    assert_true(has(&other, 1, 100, alice, NOW));
    response_store_resize(&other, 4, MB);
    assert_true(put(&other, 4, 9, 50, alice));
    assert_true(has(&other, 9, 50, alice, NOW));
    close_store(&other);
    assert_true(has(&s, 1, 100, alice, NOW)); /* the old mapping is smaller and goes on */

    assert_str(response_store_id(text, (struct response_id128){{1, UINT64_C(0xabc) << 52}}),
               "weir_0000000000000001abc0000000000000");
    assert_true(response_store_id_read(&id, (struct str){text, sizeof text}));
    assert_true(id.v[0] == 1 && id.v[1] == UINT64_C(0xabc) << 52);
    assert_false(response_store_id_read(&id, STR("resp_0000000000000001abc0000000000000")));
    assert_false(response_store_id_read(&id, STR("weir_0000000000000001ABC0000000000000")));
    assert_false(response_store_id_read(&id, STR("weir_1")));
    close_store(&s);
}

static void test_deleting_hides_it_from_everybody(void **state)
{
    struct response_store s = open_store(2), other = open_store(2);

    (void)state;
    response_store_resize(&s, 0, MB);
    assert_true(put(&s, 0, 1, 100, alice));
    assert_true(put(&s, 0, 2, 100, alice));
    assert_false(response_store_delete(&other, id_of(1), bob, NOW));
    assert_true(response_store_delete(&other, id_of(1), alice, NOW));
    assert_false(response_store_delete(&other, id_of(1), alice, NOW));
    assert_false(has(&s, 1, 100, alice, NOW));
    assert_true(has(&s, 2, 100, alice, NOW));
    close_store(&s);
    close_store(&other);
}

/* The newest are there whatever their sizes, and each that is there is whole. */
static void test_the_oldest_are_overwritten(void **state)
{
    struct response_store s = open_store(1);
    size_t sizes[2000];
    uint64_t kept = 0, newest_gone = 0, seed = 1;

    (void)state;
    response_store_resize(&s, 0, MB);
    for (uint64_t n = 0; n < ARRAY_LEN(sizes); n++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        sizes[n] = (seed >> 33) % (n % 100 ? 4000 : 200000);
        assert_true(put(&s, 0, n, sizes[n], alice));
        assert_true(has(&s, n, sizes[n], alice, NOW));
    }
    for (uint64_t n = 0; n < ARRAY_LEN(sizes); n++) {
        if (has(&s, n, sizes[n], alice, NOW))
            kept++;
        else
            newest_gone = n;
    }
    assert_true(kept > 100);
    assert_true(newest_gone < ARRAY_LEN(sizes) - 100);
    close_store(&s);
}

static void test_what_does_not_fit_is_not_kept(void **state)
{
    struct response_store s = open_store(1);

    (void)state;
    response_store_resize(&s, 0, MB);
    assert_true(put(&s, 0, 1, MB / 4 - 200, alice));
    assert_false(put(&s, 0, 2, MB / 4, alice));
    assert_true(has(&s, 1, MB / 4 - 200, alice, NOW));
    response_store_resize(&s, 0, 64 * (uint64_t)MB);
    assert_false(has(&s, 1, MB / 4 - 200, alice, NOW)); /* another size drops it */
    assert_true(put(&s, 0, 3, RESPONSE_ENTRY_MAX - 200, alice));
    assert_true(has(&s, 3, RESPONSE_ENTRY_MAX - 200, alice, NOW));
    assert_false(put(&s, 0, 4, RESPONSE_ENTRY_MAX, alice));
    response_store_resize(&s, 0, 64 * (uint64_t)MB);
    assert_true(has(&s, 3, RESPONSE_ENTRY_MAX - 200, alice, NOW));
    response_store_resize(&s, 0, 0);
    assert_false(has(&s, 3, RESPONSE_ENTRY_MAX - 200, alice, NOW));
    assert_false(put(&s, 0, 5, 10, alice));
    close_store(&s);
}

/* Memory is taken as it is used: 64 MiB of which nothing is written cost the index. */
static void test_unused_memory_is_not_taken(void **state)
{
    struct response_store s = open_store(64);
    struct stat st;

    (void)state;
    assert_int_equal(fstat(s.fd, &st), 0);
    assert_true(st.st_blocks * 512 <= 64 * 1024);
    response_store_resize(&s, 0, 64 * (uint64_t)MB);
    assert_true(put(&s, 0, 1, 100, alice));
    assert_int_equal(fstat(s.fd, &st), 0);
    assert_true(st.st_blocks * 512 <= 2 * MB);
    for (uint64_t n = 0; n < 200; n++)
        assert_true(put(&s, 0, n, 100000, alice));
    response_store_resize(&s, 0, 0); /* and given back */
    assert_int_equal(fstat(s.fd, &st), 0);
    assert_true(st.st_blocks * 512 <= 64 * 1024);
    close_store(&s);
}

/* Whatever byte of an entry is wrong, it is not found rather than found wrong. */
static void test_a_broken_entry_is_none(void **state)
{
    struct response_store s = open_store(1);
    struct response_record r;
    struct buf b = {0};
    size_t at = SIZE_MAX;

    (void)state;
    response_store_resize(&s, 0, MB);
    assert_true(put(&s, 0, 1, 300, alice));
    for (size_t i = 0; i + 32 < s.size && at == SIZE_MAX; i += 4096)
        if (i > 2 * MB) /* the ring lies behind the index; its first page is the entry's */
            at = memcmp(s.base + i + 24, alice, 5) == 0 ? i : SIZE_MAX;
    assert_true(at != SIZE_MAX);
    for (size_t i = 0; i < 80 + 300; i++) {
        s.base[at + i] ^= 1;
        if (response_store_get(&s, id_of(1), alice, NOW, &pool, &b, &r))
            fail_msg("byte %zu changed and it was found", i);
        s.base[at + i] ^= 1;
    }
    assert_true(has(&s, 1, 300, alice, NOW));
    buf_free(&pool, &b);
    close_store(&s);
}

/* A reader beside the writer: what it finds is whole. */
struct race {
    struct response_store *store;
    atomic_bool stop;
    uint64_t found;
};

static void *read_on(void *arg)
{
    struct race *race = arg;
    struct bufpool own = {.ceiling = 64 << 20};
    struct buf b = {0};

    for (uint64_t n = 0; !atomic_load(&race->stop); n = (n + 1) % 512) {
        struct response_record r;
        b.n = 0;
        if (!response_store_get(race->store, id_of(n), alice, NOW, &own, &b, &r))
            continue;
        race->found++;
        for (size_t i = 0; i < r.items.n; i++)
            if (r.items.p[i] != (char)('A' + n % 26))
                abort();
    }
    buf_free(&own, &b);
    bufpool_deinit(&own);
    return NULL;
}

static void test_a_reader_never_sees_half_an_entry(void **state)
{
    struct response_store s = open_store(1);
    struct race race = {.store = &s};
    pthread_t reader;

    (void)state;
    response_store_resize(&s, 0, MB / 4);
    assert_int_equal(pthread_create(&reader, NULL, read_on, &race), 0);
    uint64_t deleted = 0;
    for (uint64_t n = 0; n < 60000; n++) {
        assert_true(put(&s, 0, n % 512, 1000 + n % 7000, alice));
        if (n % 5 == 0)
            deleted += response_store_delete(&s, id_of(n % 512), alice, NOW);
    }
    assert_int_equal(deleted, 60000 / 5);
    atomic_store(&race.stop, true);
    assert_int_equal(pthread_join(reader, NULL), 0);
    close_store(&s);
}

static void test_another_layout_is_replaced(void **state)
{
    struct response_store s;
    FILE *f = fopen(path, "wb");

    (void)state;
    assert_non_null(f);
    assert_int_equal(fputs("something else", f) >= 0, 1);
    (void)fclose(f);
    s = open_store(2);
    response_store_resize(&s, 0, MB);
    assert_true(put(&s, 0, 1, 100, alice));
    assert_true(has(&s, 1, 100, alice, NOW));
    close_store(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(test_a_response_is_found_by_those_it_belongs_to),
        T(test_deleting_hides_it_from_everybody),
        T(test_the_oldest_are_overwritten),
        T(test_what_does_not_fit_is_not_kept),
        T(test_unused_memory_is_not_taken),
        T(test_a_broken_entry_is_none),
        T(test_a_reader_never_sees_half_an_entry),
        T(test_another_layout_is_replaced),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
