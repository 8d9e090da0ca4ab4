/* A segment is read with pread into one buffer: nothing of it stays mapped, and a file that is cut
 * short under the reader is an end, not a signal. */

#include "link/spool_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/spool.h"

enum { DAMAGE_STEP = SPOOL_BATCH_MAX - 2 * SPOOL_RECORD_MOST }; /* passed over at a time */

enum errc spool_reader_init(struct spool_reader *r, const char *dir, struct err *e)
{
    *r = (struct spool_reader){.fd = -1};
    if ((size_t)snprintf(r->dir, sizeof r->dir, "%s", dir) >= sizeof r->dir)
        return err_set(e, ERRC_LIMIT, 0, "path of the spool is too long");
    return ERRC_OK;
}

static void close_segment(struct spool_reader *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
}

void spool_reader_deinit(struct spool_reader *r)
{
    if (!r->dir[0])
        return;
    close_segment(r);
    *r = (struct spool_reader){.fd = -1};
}

/* ERRC_OK with r->fd < 0: there is no such segment. */
static enum errc open_segment(struct spool_reader *r, uint64_t segment, struct err *e)
{
    char path[SPOOL_PATH];
    struct stat st;

    if (r->fd < 0 || r->segment != segment) {
        close_segment(r);
        spool_segment_path(path, r->dir, segment);
        r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (r->fd < 0)
            return errno == ENOENT ? ERRC_OK : err_set(e, ERRC_SYS, errno, "open %s", path);
        r->segment = segment;
    }
    if (fstat(r->fd, &st) != 0)
        return err_set(e, ERRC_SYS, errno, "segment %llu", (unsigned long long)segment);
    r->size = (uint64_t)st.st_size;
    return ERRC_OK;
}

static enum errc fill(struct spool_reader *r, unsigned char *buffer, uint64_t offset, size_t want,
                      size_t *ret_n, struct err *e)
{
    size_t n = 0;

    while (n < want) {
        ssize_t got = pread(r->fd, buffer + n, want - n, (off_t)(offset + n));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(e, ERRC_SYS, errno, "read segment %llu", (unsigned long long)r->segment);
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_n = n;
    return ERRC_OK;
}

/* The length of the whole records at the start of `n` bytes at `p`, and how many they are. */
static size_t whole(const unsigned char *p, size_t n, unsigned *ret_count)
{
    struct spool_entry en;
    size_t at = 0, len;

    for (*ret_count = 0; spool_record_read(p + at, n - at, &en, &len); ++*ret_count)
        at += len;
    return at;
}

/*
 * The records at `at`, of a segment whose bytes end at `limit`; *ret_any: there are some. Without
 * any and with bytes left, `at` moves behind what is damaged, or to the end.
 */
static enum errc read_records(struct spool_reader *r, unsigned char *buffer, struct spool_place *at,
                              uint64_t limit, struct spool_batch *ret, bool *ret_any, struct err *e)
{
    size_t n = 0;

    *ret_any = false;
    while (at->offset < limit) {
        size_t want = (size_t)MIN(limit - at->offset, (uint64_t)SPOOL_BATCH_MAX);
        enum errc rc = fill(r, buffer, at->offset, want, &n, e);
        if (rc)
            return rc;
        size_t begin = spool_record_find(buffer, n, 0), len = 0;
        if (begin < n)
            len = whole(buffer + begin, n - begin, &ret->n);
        if (len) {
            at->offset += begin;
            ret->from = *at;
            ret->records = (struct str){(const char *)buffer + begin, len};
            ret->next = (struct spool_place){at->segment, at->offset + len};
            *ret_any = true;
            return ERRC_OK;
        }
        /* nothing whole among so many bytes: what begins among the last ones is looked at again */
        at->offset = n < SPOOL_BATCH_MAX ? limit : at->offset + DAMAGE_STEP;
    }
    return ERRC_OK;
}

/* The next segment there may be: those at the beginning may be gone, many of them. */
static enum errc following(const struct spool_reader *r, uint64_t *segment, uint64_t last,
                           struct err *e)
{
    uint64_t lowest, highest;
    enum errc rc = spool_range(r->dir, &lowest, &highest, e);

    *segment = MIN(MAX(*segment + 1, lowest), last);
    return rc;
}

enum errc spool_reader_next(struct spool_reader *r, unsigned char *buffer, struct spool_place at,
                            struct spool_place end, struct spool_batch *ret, bool *ret_any,
                            struct err *e)
{
    const struct spool_place begin = at;
    bool is_gap = false;

    *ret_any = false;
    *ret = (struct spool_batch){.after = at, .from = at, .next = at};
    while (spool_place_cmp(at, end) < 0) {
        enum errc rc = at.segment ? open_segment(r, at.segment, e) : ERRC_OK;
        if (rc)
            return rc;
        bool is_last = at.segment == end.segment, is_there = at.segment && r->fd >= 0;
        uint64_t limit = is_there ? r->size : 0;
        if (is_last)
            limit = MIN(limit, end.offset);
        uint64_t was = at.offset;
        bool any = false;
        if (is_there)
            rc = read_records(r, buffer, &at, limit, ret, &any, e);
        if (rc)
            return rc;
        is_gap |= at.offset != was;
        if (any) {
            *ret_any = true;
            return ERRC_OK;
        }
        if (is_last) /* damage at the end of what is written: passed over once more follows */
            return ERRC_OK;
        is_gap |= at.segment && (!is_there || was > r->size);
        close_segment(r);
        rc = following(r, &at.segment, end.segment, e);
        if (rc)
            return rc;
        is_gap |= at.segment > begin.segment + 1;
        at.offset = 0;
        if (is_gap)
            continue;
        /* in order: told before what follows, so that it is no gap */
        *ret = (struct spool_batch){.after = begin, .from = begin, .next = at};
        *ret_any = true;
        return ERRC_OK;
    }
    return ERRC_OK;
}
