/* The spool on disk: what is written comes back, once, from every state a crash may leave. */

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/crc32c.h"

#include "link/spool.h"
#include "tests/unit/test.h"

enum { MOST = 4096 };

struct seen {
    uint64_t seq[MOST];
    size_t n;
};

static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/weir-spool-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static void segment(char out[96], unsigned number)
{
    (void)snprintf(out, 96, "%s/%010u.seg", dir, number);
}

static int teardown(void **state)
{
    char path[96];

    (void)state;
    for (unsigned n = 1; n < 200; n++) {
        segment(path, n);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    (void)unlink(path);
    return rmdir(dir);
}

static void see(void *ctx, const struct spool_entry *en)
{
    struct seen *s = ctx;

    assert_true(s->n < MOST);
    assert_int_equal(en->type, SPOOL_USAGE);
    assert_int_equal(en->id.epoch, 7);
    assert_int_equal(en->id.region, en->id.seq % 3);
    assert_int_equal(en->body.n, en->id.seq % 100);
    for (size_t i = 0; i < en->body.n; i++)
        assert_int_equal(en->body.p[i], (char)en->id.seq);
    s->seq[s->n++] = en->id.seq;
}

static void add(struct spool *s, uint64_t seq)
{
    unsigned char *body = spool_begin(s);
    struct err e;

    if (!body) {
        assert_int_equal(spool_flush(s, &e), ERRC_OK);
        body = spool_begin(s);
    }
    memset(body, (char)seq, seq % 100);
    struct spool_id id = {7, (uint32_t)(seq % 3), seq};
    spool_end(s, &id, SPOOL_USAGE, seq % 100);
}

static void flush(struct spool *s)
{
    struct err e;

    assert_int_equal(spool_flush(s, &e), ERRC_OK);
}

static struct spool *open_with(struct spool_options o, struct seen *seen)
{
    struct spool *s;
    struct err e;

    o.dir = dir;
    *seen = (struct seen){0};
    if (spool_open(&s, &o, see, seen, &e))
        fail_msg("%s", e.msg);
    return s;
}

static struct spool *open_spool(struct seen *seen)
{
    return open_with((struct spool_options){0}, seen);
}

static void read_all(struct seen *seen, uint64_t *ret_bad)
{
    struct err e;

    *seen = (struct seen){0};
    assert_int_equal(spool_read(dir, see, seen, ret_bad, &e), ERRC_OK);
}

static void assert_row(const struct seen *seen, uint64_t from, size_t n)
{
    assert_int_equal(seen->n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(seen->seq[i], from + i);
}

static void test_checksum_is_castagnoli(void **state)
{
    unsigned char zeros[32] = {0}, ones[32];

    (void)state;
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, zeros, 32), 0x8a9136aa); /* RFC 3720 B.4 */
    assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

static void test_records_come_back_after_reopening(void **state)
{
    struct seen seen;
    uint64_t bad;

    (void)state;
    for (uint64_t round = 0; round < 3; round++) {
        struct spool *s = open_spool(&seen);
        assert_row(&seen, 0, round * 50);
        for (uint64_t i = 0; i < 50; i++)
            add(s, round * 50 + i);
        flush(s);
        s = spool_free(s);
    }
    read_all(&seen, &bad);
    assert_row(&seen, 0, 150);
    assert_int_equal(bad, 0);
}

static void test_trim_keeps_what_is_not_written_yet(void **state)
{
    struct seen seen;
    uint64_t bad;

    (void)state;
    struct spool *s = open_spool(&seen);
    for (uint64_t i = 0; i < 300; i++) {
        add(s, i);
        if (i % 3 == 0)
            flush(s);
        spool_trim(s);
    }
    flush(s);
    s = spool_free(s);
    read_all(&seen, &bad);
    assert_row(&seen, 0, 300);
    assert_int_equal(bad, 0);
}

static void test_second_link_is_refused(void **state)
{
    struct spool_options o = {.dir = dir};
    struct spool *other;
    struct seen seen;
    struct err e;

    (void)state;
    struct spool *s = open_spool(&seen);
    assert_int_equal(spool_open(&other, &o, see, &seen, &e), ERRC_LIMIT);
    s = spool_free(s);
}

/* Reads a segment whole. */
static size_t slurp(unsigned number, unsigned char *out, size_t cap)
{
    char path[96];

    segment(path, number);
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t n = read(fd, out, cap);
    assert_true(n >= 0 && (size_t)n < cap);
    close(fd);
    return (size_t)n;
}

static void put_back(unsigned number, const unsigned char *p, size_t n)
{
    char path[96];

    segment(path, number);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    close(fd);
}

static void test_every_prefix_recovers_and_goes_on(void **state)
{
    static unsigned char all[65536];
    size_t ends[21] = {0}, n_records = 0;
    struct seen seen;
    uint64_t bad;

    (void)state;
    struct spool *s = open_spool(&seen);
    for (uint64_t i = 0; i < 20; i++) {
        add(s, i);
        ends[i + 1] = ends[i] + SPOOL_HEAD + i % 100 + SPOOL_CRC;
    }
    flush(s);
    s = spool_free(s);
    size_t size = slurp(1, all, sizeof all);
    assert_int_equal(size, ends[20]);
    for (size_t cut = 0; cut <= size; cut++) {
        while (n_records < 20 && ends[n_records + 1] <= cut)
            n_records++;
        put_back(1, all, cut);
        s = open_spool(&seen);
        assert_row(&seen, 0, n_records);
        assert_int_equal(spool_totals(s).torn_bytes, cut - ends[n_records]);
        add(s, n_records);
        flush(s);
        s = spool_free(s);
        read_all(&seen, &bad);
        assert_row(&seen, 0, n_records + 1);
        assert_int_equal(bad, 0);
    }
}

static void test_damage_in_the_middle_costs_one_record(void **state)
{
    static unsigned char all[65536];
    struct seen seen;
    uint64_t bad;

    (void)state;
    struct spool *s = open_spool(&seen);
    for (uint64_t i = 0; i < 20; i++)
        add(s, i);
    flush(s);
    s = spool_free(s);
    size_t size = slurp(1, all, sizeof all), fifth = 0;
    for (uint64_t i = 0; i < 5; i++)
        fifth += SPOOL_HEAD + i % 100 + SPOOL_CRC;
    for (size_t at = fifth; at < fifth + SPOOL_HEAD + 5 + SPOOL_CRC; at++) {
        all[at] ^= 0x40;
        put_back(1, all, size);
        read_all(&seen, &bad);
        assert_int_equal(bad, 1);
        assert_int_equal(seen.n, 19);
        assert_int_equal(seen.seq[5], 6);
        s = open_spool(&seen); /* it is no torn tail: nothing is cut */
        assert_int_equal(seen.n, 19);
        assert_int_equal(spool_totals(s).torn_bytes, 0);
        assert_int_equal(spool_totals(s).bad_records, 1);
        s = spool_free(s);
        all[at] ^= 0x40;
    }
}

static void test_text_that_looks_like_a_record_is_none(void **state)
{
    static unsigned char all[65536];
    unsigned char fake[256];
    struct seen seen;
    struct err e;
    uint64_t bad;

    (void)state;
    struct spool *s = open_spool(&seen);
    add(s, 0);
    flush(s);
    s = spool_free(s);
    size_t len = slurp(1, fake, sizeof fake);
    put_back(1, fake, 0);
    s = open_spool(&seen);
    unsigned char *body = spool_begin(s);
    memset(body, 'x', 3 * len);
    memcpy(body + len, fake, len); /* whole, checksum and all */
    spool_end(s, &(struct spool_id){7, 0, 3}, SPOOL_USAGE, 3 * len);
    assert_int_equal(spool_flush(s, &e), ERRC_OK);
    s = spool_free(s);
    size_t size = slurp(1, all, sizeof all);
    all[10] ^= 1;
    put_back(1, all, size);
    read_all(&seen, &bad);
    assert_int_equal(seen.n, 0);
}

static void test_segments_follow_each_other_and_the_oldest_goes_at_the_cap(void **state)
{
    struct spool_options o = {.segment_bytes = 4096, .max_bytes = 16384};
    uint64_t bad, cut = 0;
    struct seen seen;
    struct stat st;
    char path[96];

    (void)state;
    for (uint64_t i = 0; i < 400;) {
        struct spool *s = open_with(o, &seen);
        for (unsigned k = 0; k < 20; k++)
            add(s, i++);
        flush(s);
        struct spool_totals t = spool_totals(s);
        cut += t.cut_segments;
        assert_true(t.bytes <= o.max_bytes + o.segment_bytes);
        s = spool_free(s); /* waits until full segments are synced */
    }
    assert_true(cut > 0);
    segment(path, 1);
    assert_int_not_equal(stat(path, &st), 0);
    read_all(&seen, &bad);
    assert_int_equal(bad, 0);
    assert_row(&seen, 400 - seen.n, seen.n); /* the newest, without a hole */
    struct spool *s = open_with(o, &seen);
    assert_true(seen.n > 0 && seen.seq[seen.n - 1] == 399);
    s = spool_free(s);
}

/* RLIMIT_FSIZE stands for a full disk: a write stops in the middle of a record. */
static void test_full_disk_keeps_the_buffer_and_recovers(void **state)
{
    struct rlimit was, low;
    struct seen seen;
    struct err e;
    uint64_t bad;

    (void)state;
    struct spool *s = open_spool(&seen);
    for (uint64_t i = 0; i < 10; i++)
        add(s, i);
    flush(s);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    low = was;
    low.rlim_cur = 500;
    (void)signal(SIGXFSZ, SIG_IGN);
    for (uint64_t i = 10; i < 20; i++)
        add(s, i);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    enum errc first = spool_flush(s, &e), second = spool_flush(s, &e);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(first, ERRC_SYS);
    assert_int_equal(second, ERRC_SYS);
    flush(s);
    s = spool_free(s);
    read_all(&seen, &bad);
    assert_row(&seen, 0, 20);
    assert_int_equal(bad, 0);
}

#define SPOOL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checksum_is_castagnoli),
        SPOOL_TEST(test_records_come_back_after_reopening),
        SPOOL_TEST(test_trim_keeps_what_is_not_written_yet),
        SPOOL_TEST(test_second_link_is_refused),
        SPOOL_TEST(test_every_prefix_recovers_and_goes_on),
        SPOOL_TEST(test_damage_in_the_middle_costs_one_record),
        SPOOL_TEST(test_text_that_looks_like_a_record_is_none),
        SPOOL_TEST(test_segments_follow_each_other_and_the_oldest_goes_at_the_cap),
        SPOOL_TEST(test_full_disk_keeps_the_buffer_and_recovers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
