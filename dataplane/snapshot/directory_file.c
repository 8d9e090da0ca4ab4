/*
 * The last good state on disk. Two files, each a head in the clear and one secretstream
 * (XChaCha20-Poly1305) in chunks, the head being associated data of every chunk:
 *
 *   PATH.N   the base numbered N, as workers map it
 *   PATH     the overlay, the spend that is known, the documents; its head says which base
 *
 * A base is written before what names it, under a name of its own, and older ones go after, so that
 * at every moment PATH and the base it names are whole.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/num.h"

#include "snapshot/directory_priv.h"
#include "snapshot/sealed.h"

#define FILE_MAGIC UINT64_C(0x315453414c524957) /* "WIRLAST1" */
enum { FILE_VERSION = 1, CHUNK = 1 << 20, TAG = crypto_secretstream_xchacha20poly1305_ABYTES };
enum file_part { PART_REST, PART_BASE };

static const char what[] = "last good state";

struct file_head {
    uint64_t magic;
    uint32_t version, identity_version;
    uint32_t part; /* enum file_part */
    uint32_t reserved;
    uint64_t base; /* number of the base */
    uint64_t numbering, epoch, revision;
    uint64_t size; /* bytes before sealing */
    unsigned char stream[crypto_secretstream_xchacha20poly1305_HEADERBYTES];
};

static_assert(sizeof(struct file_head) == 88, "layout");

struct stream { /* of one file, being written or read */
    int fd;
    struct file_head head;
    crypto_secretstream_xchacha20poly1305_state state;
    unsigned char *plain, *sealed; /* CHUNK, and that with its tag */
    size_t at, n;                  /* of plain: what was taken of it, what is in it */
    uint64_t left;                 /* reading: bytes still sealed */
};

static void stream_deinit(struct stream *s)
{
    if (s->fd >= 0)
        (void)close(s->fd); /* written ones were synced */
    if (s->plain)
        sodium_memzero(s->plain, CHUNK);
    sodium_memzero(&s->state, sizeof s->state);
    free(s->plain);
    free(s->sealed);
}

static enum errc stream_buffers(struct stream *s, struct err *e)
{
    if (sodium_init() < 0)
        return err_set(e, ERRC_SYS, 0, "%s: libsodium", what);
    s->plain = malloc(CHUNK);
    s->sealed = malloc(CHUNK + TAG);
    return s->plain && s->sealed ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "%s", what);
}

/* ---- writing ---- */

static enum errc chunk_write(struct stream *s, const unsigned char *p, size_t n, bool last,
                             struct err *e)
{
    unsigned char tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
                             : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;

    (void)crypto_secretstream_xchacha20poly1305_push(&s->state, s->sealed, NULL, p, n,
                                                     (const unsigned char *)&s->head,
                                                     sizeof s->head, tag); /* always 0 */
    return sealed_write(s->fd, s->sealed, n + TAG, what, e);
}

static enum errc stream_put(struct stream *s, const void *p, size_t n, struct err *e)
{
    const unsigned char *from = p;
    enum errc rc = ERRC_OK;

    while (n && !rc) {
        size_t take = MIN(n, CHUNK - s->n);
        memcpy(s->plain + s->n, from, take);
        s->n += take;
        from += take;
        n -= take;
        if (s->n < CHUNK)
            break;
        rc = chunk_write(s, s->plain, CHUNK, false, e);
        s->n = 0;
    }
    return rc;
}

static enum errc stream_create(struct stream *s, const char *path, const struct file_head *head,
                               const unsigned char *key, struct err *e)
{
    enum errc rc = stream_buffers(s, e);

    if (rc)
        return rc;
    s->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->fd < 0)
        return err_set(e, ERRC_SYS, errno, "make %s", path);
    s->head = *head;
    (void)crypto_secretstream_xchacha20poly1305_init_push(&s->state, s->head.stream,
                                                          key); /* always 0 */
    return sealed_write(s->fd, &s->head, sizeof s->head, what, e);
}

/* The last chunk, on disk, under its name. */
static enum errc stream_finish(struct stream *s, const char *temp, const char *path, struct err *e)
{
    enum errc rc = chunk_write(s, s->plain, s->n, true, e);

    if (!rc && (fsync(s->fd) != 0 || rename(temp, path) != 0))
        rc = err_set(e, ERRC_SYS, errno, "write %s", path);
    return rc;
}

typedef enum errc (*put_fn)(struct stream *s, const struct directory *d, struct err *e);

static enum errc file_write(const struct directory *d, const char *path,
                            const struct file_head *head, const unsigned char *key, put_fn put,
                            struct err *e)
{
    struct stream s = {.fd = -1};
    char temp[4096];
    enum errc rc;

    if ((size_t)snprintf(temp, sizeof temp, "%s.new", path) >= sizeof temp)
        return err_set(e, ERRC_LIMIT, 0, "%s: path too long", what);
    rc = stream_create(&s, temp, head, key, e);
    rc = rc ? rc : put(&s, d, e);
    rc = rc ? rc : stream_finish(&s, temp, path, e);
    if (rc)
        (void)unlink(temp);
    stream_deinit(&s);
    return rc;
}

static enum errc put_base(struct stream *s, const struct directory *d, struct err *e)
{
    return stream_put(s, d->base->base, d->base->size, e);
}

static enum errc put_u64(struct stream *s, uint64_t v, struct err *e)
{
    return stream_put(s, &v, sizeof v, e);
}

struct spend {
    uint64_t slot;
    int64_t nusd;
};

static enum errc put_spends(struct stream *s, const struct directory *d, struct err *e)
{
    const struct directory_counters *c = &d->o.counters;
    const struct spend end = {SNAP_NONE, 0};
    enum errc rc = ERRC_OK;

    for (uint32_t slot = 0; c->known && slot < d->slots.next && !rc; slot++) {
        struct spend spend = {slot, d->slots.used[slot] ? c->known(c->ctx, slot) : 0};
        if (spend.nusd)
            rc = stream_put(s, &spend, sizeof spend, e);
    }
    return rc ? rc : stream_put(s, &end, sizeof end, e);
}

static enum errc put_documents(struct stream *s, const struct documents *ds, struct err *e)
{
    enum errc rc = put_u64(s, ds->n, e);

    for (size_t i = 0; i < ds->n && !rc; i++) {
        size_t n = weir__entity__get_packed_size(ds->items[i].own);
        uint8_t *packed = malloc(n + 1);
        if (!packed)
            return err_set(e, ERRC_NOMEM, 0, "%s", what);
        (void)weir__entity__pack(ds->items[i].own, packed);
        rc = put_u64(s, n, e);
        rc = rc ? rc : stream_put(s, packed, n, e);
        sodium_memzero(packed, n);
        free(packed);
    }
    return rc;
}

static enum errc put_rest(struct stream *s, const struct directory *d, struct err *e)
{
    enum errc rc = put_u64(s, d->overlay->size, e);

    rc = rc ? rc : stream_put(s, d->overlay->base, d->overlay->size, e);
    rc = rc ? rc : put_spends(s, d, e);
    return rc ? rc : put_documents(s, &d->documents, e);
}

static bool base_path(char out[4096], const char *path, uint64_t n)
{
    return snprintf(out, 4096, "%s.%llu", path, (unsigned long long)n) < 4096;
}

/* Removes PATH.N of other bases. What cannot be removed costs only room. */
static void remove_others(const char *path, uint64_t base)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct str prefix = str_of(name), number;
    char dir[4096], other[4096];
    struct dirent *entry;
    uint64_t n;

    (void)snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path + 1) : 1,
                   slash ? path : ".");
    DIR *all = opendir(dir);
    while (all && (entry = readdir(all))) {
        struct str s = str_of(entry->d_name);
        if (!str_starts(s, prefix) || s.n < prefix.n + 2 || s.p[prefix.n] != '.')
            continue;
        number = str_from(s, prefix.n + 1);
        if (num_u64(number, &n) && n != base && base_path(other, path, n))
            (void)unlink(other);
    }
    if (all) {
        (void)fsync(dirfd(all)); /* the names */
        (void)closedir(all);
    }
}

enum errc directory_save(struct directory *d, const char *path,
                         const unsigned char key[DIRECTORY_KEY], struct err *e)
{
    char base[4096];

    if (!d->overlay)
        return err_set(e, ERRC_INVALID, 0, "%s: nothing was sealed yet", what);
    struct file_head head = {.magic = FILE_MAGIC,
                             .version = FILE_VERSION,
                             .identity_version = IDENTITY_VERSION,
                             .part = PART_BASE,
                             .base = d->overlay->identity->base,
                             .numbering = d->numbering,
                             .epoch = d->revision.epoch,
                             .revision = d->revision.n,
                             .size = d->base->size};
    if (d->base->identity->n != head.base)
        return err_set(e, ERRC_INVALID, 0, "%s: a base that was not sealed yet", what);
    if (!base_path(base, path, head.base))
        return err_set(e, ERRC_LIMIT, 0, "%s: path too long", what);
    enum errc rc = ERRC_OK;
    if (d->saved_base != head.base || access(base, F_OK) != 0)
        rc = file_write(d, base, &head, key, put_base, e);
    head.part = PART_REST;
    head.size = 0;
    rc = rc ? rc : file_write(d, path, &head, key, put_rest, e);
    if (rc)
        return rc;
    d->saved_base = head.base;
    remove_others(path, head.base);
    return ERRC_OK;
}

/* ---- reading ---- */

static enum errc damaged(struct err *e)
{
    return err_set(e, ERRC_INVALID, 0, "%s: damaged, or sealed with another key", what);
}

static enum errc read_all(int fd, void *p, size_t n, struct err *e)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, (char *)p + at, n - at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(e, ERRC_SYS, errno, "%s: read", what);
        if (got == 0)
            return damaged(e);
        at += (size_t)got;
    }
    return ERRC_OK;
}

static enum errc head_check(const struct file_head *h, enum file_part part, struct err *e)
{
    if (h->magic != FILE_MAGIC)
        return err_set(e, ERRC_INVALID, 0, "%s: not one", what);
    if (h->version != FILE_VERSION || h->identity_version != IDENTITY_VERSION)
        return err_set(e, ERRC_INVALID, 0, "%s: version %u.%u, this program reads %u.%u", what,
                       h->version, h->identity_version, FILE_VERSION, IDENTITY_VERSION);
    return h->part == part ? ERRC_OK : damaged(e);
}

static enum errc stream_open(struct stream *s, const char *path, enum file_part part,
                             const unsigned char *key, struct err *e)
{
    struct stat st;
    enum errc rc = stream_buffers(s, e);

    if (rc)
        return rc;
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (s->fd < 0 || fstat(s->fd, &st) != 0)
        return err_set(e, ERRC_SYS, errno, "open %s", path);
    rc = read_all(s->fd, &s->head, sizeof s->head, e);
    rc = rc ? rc : head_check(&s->head, part, e);
    if (rc)
        return rc;
    s->left = (uint64_t)st.st_size - sizeof s->head;
    if (crypto_secretstream_xchacha20poly1305_init_pull(&s->state, s->head.stream, key) != 0)
        return damaged(e);
    return ERRC_OK;
}

/* Opens the next chunk into `out` (CHUNK bytes). The last one says that it is. */
static enum errc chunk_read(struct stream *s, unsigned char *out, size_t *ret_n, struct err *e)
{
    size_t n = MIN(s->left, (uint64_t)CHUNK + TAG);
    unsigned long long plain;
    unsigned char tag;

    if (n < TAG)
        return damaged(e);
    enum errc rc = read_all(s->fd, s->sealed, n, e);
    if (rc)
        return rc;
    s->left -= n;
    if (crypto_secretstream_xchacha20poly1305_pull(&s->state, out, &plain, &tag, s->sealed, n,
                                                   (const unsigned char *)&s->head,
                                                   sizeof s->head) != 0)
        return damaged(e);
    if ((tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL) != (s->left == 0))
        return damaged(e); /* cut at a chunk's end */
    *ret_n = plain;
    return ERRC_OK;
}

static enum errc stream_get(struct stream *s, void *p, size_t n, struct err *e)
{
    unsigned char *to = p;

    while (n) {
        enum errc rc = ERRC_OK;
        size_t took;
        if (s->at == s->n && n >= CHUNK) { /* straight to where it is wanted */
            rc = chunk_read(s, to, &took, e);
        } else {
            if (s->at == s->n) {
                s->at = s->n = 0;
                rc = chunk_read(s, s->plain, &s->n, e);
            }
            took = rc ? 0 : MIN(n, s->n - s->at);
            if (took)
                memcpy(to, s->plain + s->at, took);
            s->at += took;
        }
        if (rc)
            return rc;
        if (!took)
            return damaged(e);
        to += took;
        n -= took;
    }
    return ERRC_OK;
}

/* `n` bytes of the stream as a sealed memfd. */
static enum errc get_sealed(struct stream *s, uint64_t n, int *ret_fd, struct err *e)
{
    int fd;

    if (n == 0 || n > UINT32_MAX)
        return damaged(e);
    enum errc rc = sealed_open(&fd, "identities", e);
    if (rc)
        return rc;
    void *p = MAP_FAILED;
    if (ftruncate(fd, (off_t)n) == 0)
        p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rc = p == MAP_FAILED
             ? err_set(e, ERRC_SYS, errno, "%s: %llu bytes of memory", what, (unsigned long long)n)
             : stream_get(s, p, n, e);
    if (p != MAP_FAILED)
        (void)munmap(p, n); /* a whole mapping */
    rc = rc ? rc : sealed_finish(fd, what, e);
    if (rc)
        (void)close(fd);
    else
        *ret_fd = fd;
    return rc;
}

static enum errc get_base(const char *path, const unsigned char *key, const struct file_head *rest,
                          int *ret_fd, struct err *e)
{
    struct stream s = {.fd = -1};
    char name[4096];
    enum errc rc;

    if (!base_path(name, path, rest->base))
        return err_set(e, ERRC_LIMIT, 0, "%s: path too long", what);
    rc = stream_open(&s, name, PART_BASE, key, e);
    if (rc == ERRC_SYS && e->sys == ENOENT)
        rc = err_set(e, ERRC_INVALID, 0, "%s: its base %s is not there", what, name);
    if (!rc && (s.head.base != rest->base || s.head.numbering != rest->numbering))
        rc = damaged(e);
    rc = rc ? rc : get_sealed(&s, s.head.size, ret_fd, e);
    stream_deinit(&s);
    return rc;
}

static enum errc get_overlay(struct stream *s, int *ret_fd, struct err *e)
{
    uint64_t n;
    enum errc rc = stream_get(s, &n, sizeof n, e);

    return rc ? rc : get_sealed(s, n, ret_fd, e);
}

static enum errc get_spends(struct stream *s, struct directory *d, struct err *e)
{
    const struct directory_counters *c = &d->o.counters;

    for (;;) {
        struct spend spend;
        enum errc rc = stream_get(s, &spend, sizeof spend, e);
        if (rc || spend.slot == SNAP_NONE)
            return rc;
        /* counters that outlived us know of more, and less than they know would be a reset */
        if (c->know && spend.slot < d->slots.next &&
            !(c->known && c->known(c->ctx, (uint32_t)spend.slot) >= spend.nusd))
            c->know(c->ctx, (uint32_t)spend.slot,
                    &(struct directory_spend){.spend_nusd = spend.nusd, .is_new = true});
    }
}

static enum errc get_document(struct stream *s, struct documents *ds, struct err *e)
{
    uint64_t n;
    enum errc rc = stream_get(s, &n, sizeof n, e);

    if (rc)
        return rc;
    uint8_t *packed = n <= s->left + CHUNK ? malloc(n + 1) : NULL;
    if (!packed)
        return damaged(e);
    rc = stream_get(s, packed, n, e);
    Weir__Entity *en = rc ? NULL : weir__entity__unpack(NULL, n, packed);
    if (!rc)
        rc = en ? documents_apply(ds, en, e) : damaged(e);
    if (en)
        weir__entity__free_unpacked(en, NULL);
    sodium_memzero(packed, n);
    free(packed);
    return rc;
}

static enum errc get_documents(struct stream *s, struct documents *ds, struct err *e)
{
    uint64_t n;
    enum errc rc = stream_get(s, &n, sizeof n, e);

    for (uint64_t i = 0; i < n && !rc; i++)
        rc = get_document(s, ds, e);
    return rc;
}

static enum errc install(struct directory *d, int base_fd, int overlay_fd, struct err *e)
{
    struct snapshot *base, *overlay;
    enum errc rc = identity_map(&base, base_fd, 0, e);

    if (rc)
        return (void)close(base_fd), rc;
    rc = identity_map(&overlay, overlay_fd, base->identity->n, e);
    if (rc) {
        (void)snapshot_unref(base);
        (void)close(base_fd);
        return rc;
    }
    return directory_install(d, base, base_fd, overlay, e);
}

static enum errc load(struct directory *d, struct stream *s, const char *path,
                      const unsigned char *key, struct err *e)
{
    int base_fd, overlay_fd;
    enum errc rc = stream_open(s, path, PART_REST, key, e);

    rc = rc ? rc : get_overlay(s, &overlay_fd, e);
    if (rc)
        return rc;
    rc = get_base(path, key, &s->head, &base_fd, e);
    rc = rc ? rc : install(d, base_fd, overlay_fd, e);
    (void)close(overlay_fd);
    rc = rc ? rc : get_spends(s, d, e);
    rc = rc ? rc : get_documents(s, &d->documents, e);
    return rc;
}

enum errc directory_load(struct directory *d, const char *path,
                         const unsigned char key[DIRECTORY_KEY], struct err *e)
{
    struct stream s = {.fd = -1};
    enum errc rc = load(d, &s, path, key, e);

    if (rc) {
        directory_forget(d);
    } else {
        d->revision = (struct directory_revision){s.head.epoch, s.head.revision};
        d->saved_base = s.head.base;
    }
    stream_deinit(&s);
    return rc;
}
