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
    (void)snprintf(path, sizeof path, "%s/name", dir);
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

/* --- what is shipped ------------------------------------------------------------------------- */

static void read_batch(struct spool_reader *r, struct spool_place at, struct spool_place end,
                       struct spool_batch *ret, bool *ret_any)
{
    static unsigned char buffer[SPOOL_BATCH_MAX];
    struct err e;

    if (spool_reader_next(r, buffer, at, end, ret, ret_any, &e))
        fail_msg("%s", e.msg);
}

struct shipped {
    struct seen seen;
    unsigned gaps, batches;
    struct spool_place at;
};

/* All batches from a place on, as a control plane would take them. */
static struct shipped ship(struct spool_place from, struct spool_place end)
{
    struct shipped s = {.at = from};
    struct spool_reader r;
    struct spool_batch b;
    struct err e;
    bool any;

    assert_int_equal(spool_reader_init(&r, dir, &e), ERRC_OK);
    for (read_batch(&r, s.at, end, &b, &any); any; read_batch(&r, s.at, end, &b, &any)) {
        struct spool_entry en;
        size_t len = 0;
        unsigned n = 0;
        assert_int_equal(spool_place_cmp(b.after, s.at), 0);
        assert_true(spool_place_cmp(b.from, s.at) >= 0);
        assert_true(spool_place_cmp(b.next, s.at) > 0);
        s.gaps += spool_place_cmp(b.from, s.at) > 0;
        for (size_t i = 0; i < b.records.n; i += len, n++) {
            assert_true(spool_record_read((const unsigned char *)b.records.p + i, b.records.n - i,
                                          &en, &len));
            see(&s.seen, &en);
        }
        if (b.records.n) {
            assert_int_equal(n, b.n);
            assert_int_equal(b.next.segment, b.from.segment);
            assert_int_equal(b.next.offset, b.from.offset + b.records.n);
        }
        s.batches++;
        s.at = b.next;
    }
    spool_reader_deinit(&r);
    return s;
}

static struct spool_place await_synced(struct spool *s)
{
    for (int i = 0; i < 5000 && !spool_is_synced(s); i++)
        (void)usleep(1000);
    assert_true(spool_is_synced(s));
    return spool_synced(s);
}

/* A spool of `n` records in small segments; its end. */
static struct spool_place written(unsigned n)
{
    struct spool_options o = {.segment_bytes = 4096};
    struct seen seen;
    struct spool *s = open_with(o, &seen);

    for (uint64_t i = 0; i < n; i++) {
        add(s, i);
        if (i % 10 == 9) {
            flush(s);
            (void)await_synced(s); /* so that the next segment may begin */
        }
    }
    flush(s);
    struct spool_place end = await_synced(s);
    s = spool_free(s);
    return end;
}

static const struct spool_place nothing;

static void test_batches_hold_every_record_once_and_again(void **state)
{
    (void)state;
    struct spool_place end = written(400);
    assert_true(end.segment > 3);
    for (int i = 0; i < 2; i++) { /* replayed: the same */
        struct shipped s = ship(nothing, end);
        assert_row(&s.seen, 0, 400);
        assert_int_equal(s.gaps, 0);
        assert_int_equal(spool_place_cmp(s.at, end), 0);
    }
    struct shipped half = ship(nothing, (struct spool_place){3, 0});
    struct shipped rest = ship(half.at, end);
    assert_int_equal(half.gaps + rest.gaps, 0);
    assert_row(&rest.seen, half.seen.n, 400 - half.seen.n);
}

/* One reader, which goes back to each place it has come from. */
static void test_a_reader_goes_back(void **state)
{
    struct spool_place places[64] = {0};
    struct spool_batch b;
    struct spool_reader r;
    struct err e;
    size_t n = 0;
    bool any;

    (void)state;
    struct spool_place end = written(400);
    assert_int_equal(spool_reader_init(&r, dir, &e), ERRC_OK);
    for (read_batch(&r, nothing, end, &b, &any); any; read_batch(&r, b.next, end, &b, &any))
        places[n++] = b.after;
    assert_true(n > 6);
    while (n-- > 0) {
        read_batch(&r, end, end, &b, &any);
        assert_false(any);
        read_batch(&r, places[n], end, &b, &any);
        assert_true(any && spool_place_cmp(b.from, places[n]) == 0);
    }
    spool_reader_deinit(&r);
}

/* What is written but not synced, and half a record, is not sent. */
static void test_every_end_is_respected(void **state)
{
    size_t ends[21] = {0}, n = 0;

    (void)state;
    (void)written(20);
    for (uint64_t i = 0; i < 20; i++)
        ends[i + 1] = ends[i] + SPOOL_HEAD + i % 100 + SPOOL_CRC;
    for (size_t at = 0; at <= ends[20]; at++) {
        while (n < 20 && ends[n + 1] <= at)
            n++;
        struct shipped s = ship(nothing, (struct spool_place){1, at});
        assert_row(&s.seen, 0, n);
        assert_true(s.at.offset == ends[n] && s.gaps == 0);
    }
}

static void test_damage_is_a_gap_and_costs_one_record(void **state)
{
    static unsigned char all[65536];
    size_t fifth = 0;

    (void)state;
    struct spool_place end = written(300);
    size_t size = slurp(1, all, sizeof all);
    for (uint64_t i = 0; i < 5; i++)
        fifth += SPOOL_HEAD + i % 100 + SPOOL_CRC;
    for (size_t at = fifth; at < fifth + SPOOL_HEAD + 5 + SPOOL_CRC; at++) {
        all[at] ^= 0x40;
        put_back(1, all, size);
        struct shipped s = ship(nothing, end);
        assert_int_equal(s.gaps, 1);
        assert_int_equal(s.seen.n, 299);
        assert_int_equal(s.seen.seq[4], 4);
        assert_int_equal(s.seen.seq[5], 6);
        assert_int_equal(spool_place_cmp(s.at, end), 0);
        all[at] ^= 0x40;
    }
}

/* A segment cut short at every byte, as no crash leaves it: the rest of it is a gap. */
static void test_every_prefix_of_an_earlier_segment_is_passed(void **state)
{
    static unsigned char all[65536];

    (void)state;
    struct spool_place end = written(300);
    size_t size = slurp(2, all, sizeof all);
    struct shipped before = ship(nothing, (struct spool_place){2, 0});
    struct shipped after = ship((struct spool_place){3, 0}, end);
    for (size_t cut = 0; cut < size; cut++) {
        put_back(2, all, cut);
        struct shipped s = ship(nothing, end);
        assert_true(s.seen.n >= before.seen.n + after.seen.n && s.seen.n < 300);
        assert_int_equal(s.seen.seq[s.seen.n - 1], 299);
        assert_int_equal(spool_place_cmp(s.at, end), 0);
    }
}

static void test_segments_that_are_gone_are_a_gap(void **state)
{
    char path[96];

    (void)state;
    struct spool_place end = written(300);
    struct shipped all = ship(nothing, end), from_3 = ship((struct spool_place){3, 0}, end);
    for (unsigned n = 1; n < 3; n++) {
        segment(path, n);
        (void)unlink(path);
    }
    struct shipped s = ship(nothing, end);
    assert_true(s.gaps == 1 && s.seen.n == from_3.seen.n && s.seen.n < all.seen.n);
    s = ship((struct spool_place){1, 500}, end);
    assert_true(s.gaps == 1 && s.seen.n == from_3.seen.n);
    s = ship((struct spool_place){3, 0}, end);
    assert_int_equal(s.gaps, 0);
}

/* The cap: what nobody took stays, and nothing more is written until somebody took some. */
static void test_cap_keeps_what_is_not_taken(void **state)
{
    struct seen seen;
    struct err e;
    uint64_t bad, i = 0;
    enum errc rc = ERRC_OK;

    (void)state;
    struct spool *s = open_spool(&seen);
    spool_limit(s, 32768, true);
    for (; !rc; i += 10) {
        assert_true(i < 4000);
        for (uint64_t k = 0; k < 10; k++)
            add(s, i + k);
        rc = spool_flush(s, &e);
        (void)await_synced(s);
    }
    assert_int_equal(rc, ERRC_LIMIT);
    assert_int_equal(spool_flush(s, &e), ERRC_LIMIT); /* kept in the buffer */
    assert_true(spool_totals(s).bytes <= 32768 && spool_totals(s).cut_segments == 0);
    read_all(&seen, &bad);
    assert_row(&seen, 0, i - 10);
    struct spool_place end = spool_synced(s);
    assert_true(end.segment >= 8);
    spool_taken(s, (struct spool_place){3, 17});
    flush(s);
    struct shipped rest = ship((struct spool_place){3, 0}, await_synced(s));
    assert_int_equal(rest.gaps, 0);
    assert_int_equal(rest.seen.seq[rest.seen.n - 1], i - 1);
    spool_taken(s, spool_synced(s));
    spool_release(s);
    assert_true(spool_totals(s).bytes <= 32768 / 2);
    s = spool_free(s);
}

/* A database may lose what it had taken: for a while all of it stays, the last segment always. */
static void test_what_is_taken_stays_for_a_while(void **state)
{
    const struct {
        uint64_t keep_ms, first;
    } rows[] = {{0, 1}, {1, 0}};
    char path[96];

    (void)state;
    struct spool_place end = written(400);
    assert_true(end.segment > 4);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct seen seen;
        struct err e;
        uint64_t first = 0, last;
        uint64_t want = rows[i].first ? rows[i].first : end.segment - 1;
        struct spool *s = open_with((struct spool_options){.keep_ms = rows[i].keep_ms}, &seen);
        spool_taken(s, end);
        for (unsigned k = 0; k < 5; k++) {
            spool_release(s);
            (void)usleep(5000);
        }
        assert_int_equal(spool_range(dir, &first, &last, &e), ERRC_OK);
        assert_int_equal(first, want);
        spool_taken(s, (struct spool_place){first, 0}); /* it fell back */
        spool_release(s);
        struct shipped back = ship((struct spool_place){first, 0}, end);
        assert_true(back.gaps == 0 && back.seen.seq[back.seen.n - 1] == 399);
        s = spool_free(s);
    }
    segment(path, (unsigned)end.segment - 2);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_name_is_kept(void **state)
{
    unsigned char name[3][NAME_FILE];
    struct seen seen;

    (void)state;
    struct spool *s = open_spool(&seen);
    assert_true(spool_name(s, false, name[0]) && spool_name(s, false, name[1]));
    assert_memory_equal(name[0], name[1], NAME_FILE);
    s = spool_free(s);
    s = open_spool(&seen);
    assert_true(spool_name(s, false, name[1]) && spool_name(s, true, name[2]));
    assert_memory_equal(name[0], name[1], NAME_FILE);
    assert_memory_not_equal(name[1], name[2], NAME_FILE);
    s = spool_free(s);
    s = open_spool(&seen);
    assert_true(spool_name(s, false, name[1]));
    assert_memory_equal(name[1], name[2], NAME_FILE);
    s = spool_free(s);
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
        SPOOL_TEST(test_batches_hold_every_record_once_and_again),
        SPOOL_TEST(test_a_reader_goes_back),
        SPOOL_TEST(test_every_end_is_respected),
        SPOOL_TEST(test_damage_is_a_gap_and_costs_one_record),
        SPOOL_TEST(test_every_prefix_of_an_earlier_segment_is_passed),
        SPOOL_TEST(test_segments_that_are_gone_are_a_gap),
        SPOOL_TEST(test_cap_keeps_what_is_not_taken),
        SPOOL_TEST(test_what_is_taken_stays_for_a_while),
        SPOOL_TEST(test_name_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
