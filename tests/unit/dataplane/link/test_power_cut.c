/*
 * The power goes at any moment: a model of what a disk may have kept, over what the spool wrote.
 *
 * The calls of the spool that change something come here and are recorded. A cut takes some of
 * them: what was synced is on the disk; of what was written since any sectors are, with or without
 * the length that belongs to them, and names of segments that were made or deleted are there or
 * not. What is left is laid into the directory, and the spool goes on in it, to be cut again.
 * Beside it a control plane counts what it is sent, which is what spool_synced() says, and keeps
 * its cursor.
 */

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "link/spool.h"
#include "tests/unit/test.h"

enum {
    RUNS = 120,
    LIVES = 6,
    SEGMENTS = 48, /* of a run */
    SEGMENT_MAX = 16384,
    SECTOR = 512,
    RECORDS = 4096, /* of a run */
    EVENTS = 4096,  /* of a life */
    STEPS = 24,
};

/* ---- what happened ---- */

struct event {
    enum { WRITE, CUT, SYNC, SYNC_NAMES, DELETE, CLAIM } what;
    unsigned segment;
    size_t at, n;
    unsigned char *bytes;       /* WRITE */
    size_t covers;              /* SYNC: events before it that it is about */
    bool names[SEGMENTS];       /* SYNC_NAMES */
    struct spool_place claimed; /* CLAIM: from here on it may be counted */
};

static struct {
    pthread_mutex_t lock;
    bool is_on;
    struct event e[EVENTS];
    size_t n;
} history = {.lock = PTHREAD_MUTEX_INITIALIZER};

static char dir[64];
static unsigned rng;

static unsigned below(unsigned n)
{
    rng = rng * 1664525 + 1013904223;
    return (rng >> 8) % n;
}

/* Of a file in the directory; 0: another. */
static unsigned segment_of(const char *path)
{
    const char *name = strrchr(path, '/');
    unsigned n = 0;

    return name && sscanf(name, "/%u.seg", &n) == 1 ? n : 0;
}

static unsigned segment_at(int fd)
{
    char link[64], path[256];

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    return segment_of(path);
}

static void names_now(bool names[SEGMENTS])
{
    DIR *d = opendir(dir);
    struct dirent *en;
    char path[320];

    memset(names, 0, SEGMENTS * sizeof *names);
    while ((en = readdir(d))) {
        (void)snprintf(path, sizeof path, "/%s", en->d_name);
        unsigned n = segment_of(path);
        if (n && n < SEGMENTS)
            names[n] = true;
    }
    closedir(d);
}

static void note(struct event e, const void *bytes)
{
    (void)pthread_mutex_lock(&history.lock);
    if (history.is_on && history.n < EVENTS) {
        if (bytes) {
            e.bytes = malloc(e.n);
            memcpy(e.bytes, bytes, e.n);
        }
        history.e[history.n++] = e;
    }
    (void)pthread_mutex_unlock(&history.lock);
}

/* The spool calls these instead of libc's. */
ssize_t pwrite(int fd, const void *p, size_t n, off_t at);
int ftruncate(int fd, off_t n);

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    ssize_t done = syscall(SYS_pwrite64, fd, p, n, at);

    if (done > 0)
        note(
            (struct event){
                .what = WRITE, .segment = segment_at(fd), .at = (size_t)at, .n = (size_t)done},
            p);
    return done;
}

int ftruncate(int fd, off_t n)
{
    note((struct event){.what = CUT, .segment = segment_at(fd), .at = (size_t)n}, NULL);
    return (int)syscall(SYS_ftruncate, fd, n);
}

int unlink(const char *path)
{
    note((struct event){.what = DELETE, .segment = segment_of(path)}, NULL);
    return (int)syscall(SYS_unlink, path);
}

/* Lasts a while: what comes meanwhile is not part of it. */
static void pass_time(void)
{
    for (unsigned i = 0; i < 4; i++)
        (void)sched_yield();
}

static size_t events(void)
{
    (void)pthread_mutex_lock(&history.lock);
    size_t n = history.n;
    (void)pthread_mutex_unlock(&history.lock);
    return n;
}

int fdatasync(int fd)
{
    struct event e = {.what = SYNC, .segment = segment_at(fd), .covers = events()};

    pass_time();
    note(e, NULL);
    return 0;
}

int fsync(int fd)
{
    struct event e = {.what = SYNC_NAMES, .covers = events()};
    struct stat st;

    if (fstat(fd, &st) != 0 || !S_ISDIR(st.st_mode))
        return 0; /* the file with the spool's name */
    names_now(e.names);
    pass_time();
    note(e, NULL);
    return 0;
}

int nanosleep(const struct timespec *t, struct timespec *left)
{
    (void)t;
    (void)left;
    (void)sched_yield();
    return 0;
}

/* The spool that lives; its thread begins before it is known here. */
static struct spool *_Atomic current;

static void on_synced(void *unused)
{
    struct spool *s = atomic_load(&current);

    (void)unused;
    if (s)
        note((struct event){.what = CLAIM, .claimed = spool_synced(s)}, NULL);
}

/* ---- the disk ---- */

struct file {
    bool is_named; /* its name is on the disk */
    bool exists;   /* ... or was made and may be */
    bool may_go;   /* it was deleted, and that may be on the disk */
    size_t n;
    unsigned char bytes[SEGMENT_MAX];
};

static struct file disk[SEGMENTS];

static void put(struct file *f, const struct event *e, size_t from, size_t to)
{
    assert_true(e->at + e->n <= SEGMENT_MAX);
    memcpy(f->bytes + e->at + from, e->bytes + from, to - from);
    f->n = MAX(f->n, e->at + to);
}

/* What was not synced: all of it, nothing, its beginning, or some sectors. */
static void put_some(struct file *f, const struct event *e)
{
    unsigned how = below(5);
    size_t to;

    if (e->what == CUT && how < 3)
        f->n = MIN(f->n, e->at);
    if (e->what != WRITE)
        return;
    if (how == 0)
        put(f, e, 0, e->n);
    if (how == 1)
        put(f, e, 0, below((unsigned)e->n));
    if (how == 2) /* the length alone */
        f->n = MAX(f->n, e->at + e->n);
    for (size_t at = 0; how == 3 && at < e->n; at = to) {
        to = MIN(e->n, (e->at + at) / SECTOR * SECTOR + SECTOR - e->at);
        if (below(2))
            put(f, e, at, to);
    }
}

/* Whether `e` is synced by what was done before `end`. */
static bool is_synced(size_t i, size_t end)
{
    for (size_t k = i + 1; k < end; k++)
        if (history.e[k].what == SYNC && history.e[k].segment == history.e[i].segment &&
            history.e[k].covers > i)
            return true;
    return false;
}

static void sync_names(const struct event *e)
{
    for (unsigned n = 0; n < SEGMENTS; n++) {
        disk[n].is_named |= e->names[n];
        if (disk[n].may_go && !e->names[n])
            disk[n] = (struct file){0};
    }
}

static void cut_power(size_t end)
{
    for (size_t i = 0; i < end; i++) {
        const struct event *e = &history.e[i];
        struct file *f = &disk[e->segment];
        if (e->what == SYNC_NAMES)
            sync_names(e);
        if (e->what == DELETE)
            f->may_go = true;
        if (e->what != WRITE && e->what != CUT)
            continue;
        f->exists = true;
        if (!is_synced(i, end))
            put_some(f, e);
        else if (e->what == WRITE)
            put(f, e, 0, e->n);
        else
            f->n = MIN(f->n, e->at);
    }
}

static void lay_out(void)
{
    char path[SPOOL_PATH];

    for (unsigned n = 1; n < SEGMENTS; n++) {
        struct file *f = &disk[n];
        bool is_there = f->is_named ? !f->may_go || below(2) : f->exists && !f->may_go && below(2);
        spool_segment_path(path, dir, n);
        (void)syscall(SYS_unlink, path);
        if (is_there) {
            int fd = open(path, O_WRONLY | O_CREAT, 0600);
            assert_true(fd >= 0 && write(fd, f->bytes, f->n) == (ssize_t)f->n);
            close(fd);
        } else {
            f->n = 0;
            memset(f->bytes, 0, sizeof f->bytes);
        }
        f->is_named = f->exists = is_there;
        f->may_go = false;
    }
}

static void forget(void)
{
    for (size_t i = 0; i < history.n; i++)
        free(history.e[i].bytes);
    history.n = 0;
}

/* ---- records, and who counts them ---- */

static unsigned counted[RECORDS], seen[RECORDS];
static uint64_t made;
static struct spool_place cursor;

static size_t body_of(uint64_t seq)
{
    return seq % 7 == 0 ? 900 + seq % 600 : seq % 90;
}

static void add(struct spool *s)
{
    unsigned char *body = spool_begin(s);
    uint64_t seq = made++;

    assert_true(body && seq < RECORDS);
    memset(body, (char)(seq * 31), body_of(seq));
    spool_end(s, &(struct spool_id){7, 1, seq}, SPOOL_USAGE, body_of(seq));
}

static void check(const struct spool_entry *en, unsigned *count)
{
    assert_true(en->id.seq < made);
    assert_int_equal(en->body.n, body_of(en->id.seq));
    for (size_t i = 0; i < en->body.n; i++)
        assert_int_equal(en->body.p[i], (char)(en->id.seq * 31));
    assert_int_equal(count[en->id.seq]++, 0);
}

static void see(void *ctx, const struct spool_entry *en)
{
    (void)ctx;
    check(en, seen);
}

/* As the control plane does: all from its cursor to what is said to be synced. */
static void count(struct spool_place end)
{
    static unsigned char buffer[SPOOL_BATCH_MAX];
    struct spool_reader r;
    struct spool_entry en;
    struct spool_batch b;
    struct err e;
    size_t len = 0;
    bool any = true;

    assert_int_equal(spool_reader_init(&r, dir, &e), ERRC_OK);
    while (any) {
        assert_int_equal(spool_reader_next(&r, buffer, cursor, end, &b, &any, &e), ERRC_OK);
        for (size_t i = 0; any && i < b.records.n; i += len) {
            assert_true(spool_record_read((const unsigned char *)b.records.p + i, b.records.n - i,
                                          &en, &len));
            check(&en, counted);
        }
        if (any)
            cursor = b.next;
    }
    spool_reader_deinit(&r);
}

/* What the control plane may have counted when the power went. */
static struct spool_place claim_before(size_t end)
{
    struct spool_place last = cursor;

    for (size_t i = 0; i < end; i++)
        if (history.e[i].what == CLAIM && spool_place_cmp(history.e[i].claimed, last) > 0)
            last = history.e[i].claimed;
    return last;
}

/* It went no earlier than this, for it was counted until there. */
static size_t first_claim(struct spool_place p)
{
    size_t i = 0;

    while (i < history.n &&
           (history.e[i].what != CLAIM || spool_place_cmp(history.e[i].claimed, p) < 0))
        i++;
    return MIN(i + 1, history.n);
}

static struct spool *begin(void)
{
    const struct spool_options o = {
        .dir = dir, .segment_bytes = 4096, .keep_ms = 1, .synced = on_synced};
    struct spool *s;
    struct err e;

    memset(seen, 0, sizeof seen);
    if (spool_open(&s, &o, see, NULL, &e))
        fail_msg("%s", e.msg);
    atomic_store(&current, s);
    return s;
}

static void finish(struct spool *s)
{
    s = spool_free(s);
    atomic_store(&current, NULL);
}

/* ---- a run ---- */

static bool promised[RECORDS]; /* spool_synced() went past it */

static void await_synced(struct spool *s)
{
    while (!spool_is_synced(s))
        (void)sched_yield();
}

/* Which records a claim is about: those that a reader finds before it. */
static void promise(struct spool_place end)
{
    static unsigned before[RECORDS];
    struct spool_place was = cursor;

    memcpy(before, counted, sizeof before);
    count(end);
    for (uint64_t i = 0; i < made; i++)
        promised[i] |= counted[i] > before[i];
    memcpy(counted, before, sizeof before);
    cursor = was;
}

static void live(bool is_last)
{
    struct spool_place was = cursor;

    history.is_on = true;
    struct spool *s = begin();
    assert_true(spool_place_cmp(spool_begun(s), cursor) >= 0); /* nothing is hidden behind it */
    for (unsigned i = 0, steps = below(STEPS) + 1; i < steps; i++) {
        struct err e;
        for (unsigned n = below(6) + 1; n > 0; n--)
            add(s);
        assert_int_equal(spool_flush(s, &e), ERRC_OK);
        if (below(3) == 0)
            await_synced(s);
        if (below(3) == 0) {
            count(spool_synced(s));
            spool_taken(s, cursor);
        }
    }
    if (is_last) {
        await_synced(s);
        count(spool_synced(s));
        finish(s);
        return;
    }
    (void)pthread_mutex_lock(&history.lock);
    history.is_on = false;
    (void)pthread_mutex_unlock(&history.lock);
    size_t least = spool_place_cmp(cursor, was) ? first_claim(cursor) : 0;
    size_t cut = least + below((unsigned)(history.n - least) + 1);
    promise(claim_before(cut));
    finish(s); /* what it does from here on never was */
    cut_power(cut);
    lay_out();
    forget();
}

static void run(void)
{
    char path[SPOOL_PATH];

    memset(disk, 0, sizeof disk);
    memset(counted, 0, sizeof counted);
    memset(promised, 0, sizeof promised);
    made = 0;
    cursor = (struct spool_place){0, 0};
    (void)snprintf(dir, sizeof dir, "/tmp/weir-power-XXXXXX");
    assert_non_null(mkdtemp(dir));
    for (unsigned i = 0; i < LIVES; i++)
        live(i + 1 == LIVES);
    history.is_on = false;
    forget();
    for (uint64_t i = 0; i < made; i++) {
        assert_true(counted[i] <= 1);
        if (promised[i] && counted[i] != 1)
            fail_msg("record %u was synced, and is lost", (unsigned)i);
    }
    for (unsigned n = 1; n < SEGMENTS; n++) {
        spool_segment_path(path, dir, n);
        (void)unlink(path);
    }
    (void)snprintf(path, sizeof path, "%s/lock", dir);
    (void)unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

static void test_what_was_synced_counts_once_and_the_rest_at_most_once(void **state)
{
    (void)state;
    for (rng = 1; rng <= RUNS; rng++) {
        unsigned seed = rng;
        run();
        rng = seed;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_synced_counts_once_and_the_rest_at_most_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
