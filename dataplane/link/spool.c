/*
 * Appending to, repairing and reading the spool.
 *
 *   link thread:  spool_end() -> buffer -> spool_flush(): pwrite at `end`, or again there
 *   sync thread:  fdatasync of the current segment, at most each 10 ms; of full ones, then closes
 *                 them; `synced` moves, and whoever ships is told
 *
 * A failed write leaves `end` where it was, so that a retry overwrites what was written in part.
 */

#include "link/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/num.h"
#include "common/pages.h"

enum {
    SYNC_MS = 10,
    SEGMENTS = 8, /* the cap holds as many at least */
    KEEP_MS = 60 * 1000,
    SYNC_STACK = 64 * 1024,
    NAME_DIGITS = 10,
    WINDOW = 1 << 20, /* of a segment being read that stays mapped in */
};

#define SEGMENT_BYTES (UINT64_C(64) << 20)
#define MAX_BYTES     (UINT64_C(4) << 30)

struct spool {
    struct spool_options o; /* of it only what is called */
    char dir[SPOOL_PATH - 32];
    int dir_fd, lock_fd;
    uint64_t segment_bytes, max_bytes, keep_ns;
    uint64_t first, last;     /* segment numbers on disk; last is written */
    uint64_t end;             /* length of the last segment: whole records only */
    struct spool_place begun; /* end of what was there when it was opened */
    int fd;                   /* of the last segment; closed by the sync thread once it is full */
    size_t used;
    struct spool_place passed, passing; /* was taken keep_ns before passing_ns, and then */
    uint64_t passing_ns;
    struct spool_totals totals; /* without sync_failures */

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    int current_fd; /* as fd */
    int full_fd;    /* -1, or a full segment to sync and close */
    bool dirty, stop;
    bool new_name; /* a segment was made: the directory needs a sync as well */
    uint64_t sync_failures;
    struct spool_place written, synced; /* ends of what is in the file, and on the disk */
    struct spool_place taken;           /* everything before it may go */
    bool keeps;                         /* what is not taken never goes */
    unsigned char name[NAME_FILE];
    bool has_name;

    unsigned char buffer[SPOOL_BUFFER];
};

/* --- segments ---------------------------------------------------------------------------- */

/* Visits the whole records among `n` bytes. Returns the end of the last one; *ret_bad counts
 * damaged places before it. */
static size_t segment_visit(const unsigned char *p, size_t n, spool_entry_fn visit, void *ctx,
                            uint64_t *ret_bad)
{
    struct spool_entry en;
    size_t end = 0, behind = 0, len = 0;

    for (;;) {
        size_t at = spool_record_find(p, n, end);
        if (at == n || !spool_record_read(p + at, n - at, &en, &len))
            return end;
        *ret_bad += at != end;
        if (visit)
            visit(ctx, &en);
        end = at + len;
        while (end - behind >= WINDOW) { /* what was read need not stay in memory */
            (void)madvise((void *)(uintptr_t)(p + behind), WINDOW, MADV_DONTNEED);
            behind += WINDOW;
        }
    }
}

void spool_segment_path(char out[SPOOL_PATH], const char *dir, uint64_t number)
{
    (void)snprintf(out, SPOOL_PATH, "%s/%0*llu.seg", dir, NAME_DIGITS, (unsigned long long)number);
}

/* Visits one file; *ret_end and *ret_size tell whether its tail is torn. */
static enum errc file_visit(const char *path, spool_entry_fn visit, void *ctx, size_t *ret_end,
                            size_t *ret_size, uint64_t *ret_bad, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0) {
        enum errc rc = err_set(e, ERRC_SYS, errno, "open %s", path);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    *ret_size = (size_t)st.st_size;
    *ret_end = 0;
    if (st.st_size == 0) {
        close(fd);
        return ERRC_OK;
    }
    void *map = mmap(NULL, *ret_size, PROT_READ, MAP_SHARED, fd, 0);
    enum errc rc = map == MAP_FAILED ? err_set(e, ERRC_SYS, errno, "map %s", path) : ERRC_OK;
    close(fd);
    if (rc)
        return rc;
    *ret_end = segment_visit(map, *ret_size, visit, ctx, ret_bad);
    (void)munmap(map, *ret_size); /* cannot fail on a whole mapping */
    return ERRC_OK;
}

static bool segment_number(const char *name, uint64_t *ret)
{
    struct str s = str_of(name), suffix = STR(".seg");

    return str_ends(s, suffix) && num_u64((struct str){s.p, s.n - suffix.n}, ret);
}

enum errc spool_range(const char *dir, uint64_t *ret_first, uint64_t *ret_last, struct err *e)
{
    DIR *d = opendir(dir);
    struct dirent *en;
    uint64_t number;

    if (!d)
        return err_set(e, ERRC_SYS, errno, "read directory %s", dir);
    *ret_first = *ret_last = 0;
    while ((en = readdir(d))) {
        if (!segment_number(en->d_name, &number) || number == 0)
            continue;
        *ret_first = *ret_first ? MIN(*ret_first, number) : number;
        *ret_last = MAX(*ret_last, number);
    }
    closedir(d);
    return ERRC_OK;
}

enum errc spool_read(const char *dir, spool_entry_fn visit, void *ctx, uint64_t *ret_bad,
                     struct err *e)
{
    char path[SPOOL_PATH];
    uint64_t first, last;
    size_t end, size;
    enum errc rc = spool_range(dir, &first, &last, e);

    *ret_bad = 0;
    if (rc || last == 0)
        return rc;
    for (uint64_t n = first; n <= last; n++) {
        spool_segment_path(path, dir, n);
        rc = file_visit(path, visit, ctx, &end, &size, ret_bad, e);
        if (rc && e->sys != ENOENT) /* a hole in the row, or gone meanwhile */
            return rc;
    }
    return ERRC_OK;
}

/* --- the sync thread ------------------------------------------------------------------------- */

static void *sync_run(void *arg)
{
    const struct timespec pause = {.tv_nsec = SYNC_MS * 1000000};
    struct spool *s = arg;
    bool stop = false;

    while (!stop) {
        (void)pthread_mutex_lock(&s->lock);
        while (!s->dirty && !s->stop)
            (void)pthread_cond_wait(&s->wake, &s->lock);
        int current = s->current_fd, full = s->full_fd;
        bool new_name = s->new_name;
        struct spool_place written = s->written;
        s->dirty = s->new_name = false;
        stop = s->stop;
        (void)pthread_mutex_unlock(&s->lock);

        unsigned failures = fdatasync(current) != 0;
        if (new_name)
            failures += fsync(s->dir_fd) != 0;
        if (full >= 0) {
            failures += fdatasync(full) != 0;
            close(full);
        }
        (void)pthread_mutex_lock(&s->lock);
        s->sync_failures += failures;
        s->synced = written; /* where a sync failed, it is as safe as it gets */
        if (full >= 0)
            s->full_fd = -1;
        (void)pthread_mutex_unlock(&s->lock);
        if (s->o.synced)
            s->o.synced(s->o.synced_ctx);
        if (!stop)
            (void)nanosleep(&pause, NULL); /* what comes meanwhile shares the next sync */
    }
    return NULL;
}

static enum errc sync_start(struct spool *s, struct err *e)
{
    pthread_attr_t attr;

    s->current_fd = s->fd;
    s->full_fd = -1;
    s->written = (struct spool_place){s->last, s->end};
    s->dirty = true; /* what was found may not have been synced */
    int rc = pthread_attr_init(&attr);
    if (rc == 0) {
        (void)pthread_attr_setstacksize(&attr, SYNC_STACK); /* else the default: larger */
        rc = pthread_create(&s->thread, &attr, sync_run, s);
        (void)pthread_attr_destroy(&attr);
    }
    if (rc != 0)
        return err_set(e, ERRC_SYS, rc, "start the spool's thread");
    s->has_thread = true;
    return ERRC_OK;
}

/* --- opening --------------------------------------------------------------------------------- */

/* That there is such a directory outlives the machine as well, as far as can be. */
static void sync_parent(const char *dir)
{
    char path[SPOOL_PATH];

    (void)snprintf(path, sizeof path, "%s/..", dir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

static enum errc lock_dir(struct spool *s, struct err *e)
{
    char path[SPOOL_PATH];

    if (mkdir(s->dir, 0700) == 0)
        sync_parent(s->dir);
    else if (errno != EEXIST)
        return err_set(e, ERRC_SYS, errno, "make directory %s", s->dir);
    (void)snprintf(path, sizeof path, "%s/lock", s->dir);
    s->dir_fd = open(s->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd < 0)
        return err_set(e, ERRC_SYS, errno, "open %s", s->dir);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->lock_fd < 0)
        return err_set(e, ERRC_SYS, errno, "open %s", path);
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? err_set(e, ERRC_LIMIT, 0, "another link writes to %s", s->dir)
                                    : err_set(e, ERRC_SYS, errno, "lock %s", path);
    return ERRC_OK;
}

/* Makes segment `number` the one that is written. Sets fd and end only when it worked. */
static enum errc segment_make(struct spool *s, uint64_t number, struct err *e)
{
    char path[SPOOL_PATH];

    spool_segment_path(path, s->dir, number);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "make %s", path);
    s->fd = fd;
    s->end = 0;
    s->last = number;
    s->first = s->first ? s->first : number;
    (void)pthread_mutex_lock(&s->lock);
    s->new_name = true;
    (void)pthread_mutex_unlock(&s->lock);
    return ERRC_OK;
}

/* Repairs and opens the last segment. */
static enum errc segment_continue(struct spool *s, spool_entry_fn seen, void *ctx, struct err *e)
{
    char path[SPOOL_PATH];
    size_t end, size;

    spool_segment_path(path, s->dir, s->last);
    enum errc rc = file_visit(path, seen, ctx, &end, &size, &s->totals.bad_records, e);
    if (rc)
        return rc;
    s->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0)
        return err_set(e, ERRC_SYS, errno, "open %s", path);
    if (end < size && ftruncate(s->fd, (off_t)end) != 0)
        return err_set(e, ERRC_SYS, errno, "cut the torn tail of %s", path);
    s->totals.torn_bytes = size - end;
    s->end = end;
    return ERRC_OK;
}

static uint64_t segment_size(const struct spool *s, uint64_t number)
{
    char path[SPOOL_PATH];
    struct stat st;

    spool_segment_path(path, s->dir, number);
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static enum errc recover(struct spool *s, spool_entry_fn seen, void *ctx, struct err *e)
{
    char path[SPOOL_PATH];
    size_t end, size;
    enum errc rc = spool_range(s->dir, &s->first, &s->last, e);

    if (rc)
        return rc;
    if (s->last == 0)
        return segment_make(s, 1, e);
    if (s->last > s->first) {
        spool_segment_path(path, s->dir, s->last - 1);
        rc = file_visit(path, seen, ctx, &end, &size, &s->totals.bad_records, e);
        if (rc && e->sys != ENOENT)
            return rc;
    }
    for (uint64_t n = s->first; n < s->last; n++)
        s->totals.bytes += segment_size(s, n);
    rc = segment_continue(s, seen, ctx, e);
    s->totals.bytes += s->end;
    return rc;
}

enum errc spool_open(struct spool **ret_s, const struct spool_options *o, spool_entry_fn seen,
                     void *ctx, struct err *e)
{
    AUTO_FREE(spool) struct spool *s = calloc(1, sizeof *s);

    if (!s)
        return err_set(e, ERRC_NOMEM, 0, "spool");
    s->fd = s->dir_fd = s->lock_fd = -1;
    (void)pthread_mutex_init(&s->lock, NULL); /* cannot fail here */
    (void)pthread_cond_init(&s->wake, NULL);
    s->o.synced = o->synced;
    s->o.synced_ctx = o->synced_ctx;
    s->segment_bytes = o->segment_bytes ? o->segment_bytes : SEGMENT_BYTES;
    s->max_bytes = o->max_bytes ? o->max_bytes : MAX_BYTES;
    s->keep_ns = (o->keep_ms ? o->keep_ms : KEEP_MS) * UINT64_C(1000000);
    if ((size_t)snprintf(s->dir, sizeof s->dir, "%s", o->dir) >= sizeof s->dir)
        return err_set(e, ERRC_LIMIT, 0, "path of the spool is too long");
    enum errc rc = lock_dir(s, e);
    if (!rc)
        rc = recover(s, seen, ctx, e);
    s->begun = (struct spool_place){s->last, s->end};
    if (!rc)
        rc = sync_start(s, e);
    if (rc)
        return rc;
    *ret_s = TAKE(s);
    return ERRC_OK;
}

struct spool *spool_free(struct spool *s)
{
    if (!s)
        return NULL;
    if (s->has_thread) {
        (void)pthread_mutex_lock(&s->lock);
        s->stop = true;
        (void)pthread_cond_signal(&s->wake);
        (void)pthread_mutex_unlock(&s->lock);
        (void)pthread_join(s->thread, NULL);
    }
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->wake);
    const int fds[] = {s->fd, s->dir_fd, s->lock_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(s);
    return NULL;
}

/* --- writing --------------------------------------------------------------------------------- */

unsigned char *spool_begin(struct spool *s)
{
    return s->used + SPOOL_RECORD_MOST <= sizeof s->buffer ? s->buffer + s->used + SPOOL_HEAD
                                                           : NULL;
}

void spool_end(struct spool *s, const struct spool_id *id, uint8_t type, size_t body_len)
{
    s->used += spool_record_seal(s->buffer + s->used, id, type, body_len);
}

/* Deletes the first segment, which is not the last one. */
static bool segment_delete(struct spool *s)
{
    char path[SPOOL_PATH];
    uint64_t size = segment_size(s, s->first);

    spool_segment_path(path, s->dir, s->first);
    bool ok = unlink(path) == 0;
    if (ok)
        s->totals.bytes -= MIN(size, s->totals.bytes);
    s->first++;
    return ok;
}

void spool_release(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct spool_place taken = s->taken;
    (void)pthread_mutex_unlock(&s->lock);
    uint64_t now_ns = clock_mono_ns();
    if (now_ns - s->passing_ns >= s->keep_ns) {
        s->passed = s->passing;
        s->passing = taken;
        s->passing_ns = now_ns;
    }
    while (s->first < s->last && s->first < taken.segment &&
           (s->first + 1 < s->passed.segment || s->totals.bytes > s->max_bytes / 2))
        (void)segment_delete(s);
}

/* Deletes the oldest segments while there is no room for another full one below the cap. */
static void cut_oldest(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool keeps = s->keeps;
    (void)pthread_mutex_unlock(&s->lock);
    while (!keeps && s->first < s->last && s->totals.bytes + s->segment_bytes > s->max_bytes)
        s->totals.cut_segments += segment_delete(s);
}

/* True: what is kept leaves no room for the buffer below the cap. */
static bool is_full(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool keeps = s->keeps;
    (void)pthread_mutex_unlock(&s->lock);
    return keeps && s->totals.bytes + s->used > s->max_bytes;
}

/* Goes on in a new segment. While the sync thread still has the one before, the current one grows
 * beyond its size instead: that thread may be slow, this one may not. */
static enum errc rotate(struct spool *s, struct err *e)
{
    int was = s->fd;

    (void)pthread_mutex_lock(&s->lock);
    bool may = s->full_fd < 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (!may)
        return ERRC_OK;
    enum errc rc = segment_make(s, s->last + 1, e);
    if (rc)
        return rc;
    (void)pthread_mutex_lock(&s->lock);
    s->full_fd = was;
    s->current_fd = s->fd;
    s->written = (struct spool_place){s->last, 0};
    s->dirty = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    cut_oldest(s);
    return ERRC_OK;
}

void spool_trim(struct spool *s)
{
    if (s->used == 0)
        pages_forget(s->buffer, sizeof s->buffer);
}

enum errc spool_flush(struct spool *s, struct err *e)
{
    enum errc rc = ERRC_OK;
    size_t done = 0;

    if (s->used == 0)
        return ERRC_OK;
    spool_release(s);
    if (is_full(s))
        return err_set(e, ERRC_LIMIT, 0, "%s: full: %llu MiB wait for the control plane", s->dir,
                       (unsigned long long)(s->totals.bytes >> 20));
    if (s->end > 0 && s->end + s->used > s->segment_bytes)
        rc = rotate(s, e);
    while (!rc && done < s->used) {
        ssize_t n = pwrite(s->fd, s->buffer + done, s->used - done, (off_t)(s->end + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            rc = err_set(e, ERRC_SYS, n < 0 ? errno : ENOSPC, "write %s", s->dir);
        else
            done += (size_t)n;
    }
    if (rc)
        return rc;
    s->end += s->used;
    s->totals.bytes += s->used;
    s->used = 0;
    (void)pthread_mutex_lock(&s->lock);
    s->written = (struct spool_place){s->last, s->end};
    s->dirty = true;
    (void)pthread_cond_signal(&s->wake);
    (void)pthread_mutex_unlock(&s->lock);
    return ERRC_OK;
}

struct spool_totals spool_totals(const struct spool *s)
{
    struct spool_totals t = s->totals;
    pthread_mutex_t *lock = (pthread_mutex_t *)(uintptr_t)&s->lock; /* totals are still const */

    (void)pthread_mutex_lock(lock);
    t.sync_failures = s->sync_failures;
    (void)pthread_mutex_unlock(lock);
    return t;
}

/* --- what is shipped ------------------------------------------------------------------------- */

void spool_limit(struct spool *s, uint64_t max_bytes, bool keeps)
{
    if (max_bytes) {
        s->max_bytes = max_bytes;
        s->segment_bytes = MIN(SEGMENT_BYTES, max_bytes / SEGMENTS);
    }
    (void)pthread_mutex_lock(&s->lock);
    s->keeps = keeps;
    (void)pthread_mutex_unlock(&s->lock);
}

uint64_t spool_max(const struct spool *s)
{
    return s->max_bytes;
}

struct spool_place spool_synced(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    struct spool_place p = s->synced;
    (void)pthread_mutex_unlock(&s->lock);
    return p;
}

bool spool_is_synced(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool is_synced = spool_place_cmp(s->synced, s->written) == 0;
    (void)pthread_mutex_unlock(&s->lock);
    return is_synced;
}

void spool_taken(struct spool *s, struct spool_place p)
{
    (void)pthread_mutex_lock(&s->lock);
    s->taken = p;
    (void)pthread_mutex_unlock(&s->lock);
}

const char *spool_dir(const struct spool *s)
{
    return s->dir;
}

struct spool_place spool_begun(const struct spool *s)
{
    return s->begun;
}

static bool name_make(struct spool *s, const char *path)
{
    return getrandom(s->name, NAME_FILE, 0) == NAME_FILE && name_file_write(path, s->name) &&
           fsync(s->dir_fd) == 0;
}

bool spool_name(struct spool *s, bool renew, unsigned char out[NAME_FILE])
{
    char path[SPOOL_PATH];

    (void)snprintf(path, sizeof path, "%s/name", s->dir);
    (void)pthread_mutex_lock(&s->lock);
    if (renew || !s->has_name)
        s->has_name = (!renew && name_file_read(path, s->name)) || name_make(s, path);
    bool ok = s->has_name;
    memcpy(out, s->name, NAME_FILE);
    (void)pthread_mutex_unlock(&s->lock);
    return ok;
}
