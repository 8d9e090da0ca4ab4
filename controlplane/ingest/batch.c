#include "ingest/batch.h"

#include "common/num.h"

#include "ingest/ingest.h"

static_assert(BATCH_SPOOL_HEX == 2 * INGEST_SPOOL_ID, "hex");

/* Behind damage each byte may be a beginning. What they claim to be is summed up to here, the rest
 * is given up. */
enum { SEARCH_MAX = 4 * 1024 * 1024 };

static enum errc check(struct batch *ret, const Weir__UsageBatch *b, struct err *e)
{
    ret->b = b;
    ret->after = (struct spool_place){b->after_segment, b->after_offset};
    ret->from = (struct spool_place){b->segment, b->from};
    ret->to = (struct spool_place){b->next_segment, b->next_offset};
    if (b->spool.len != INGEST_SPOOL_ID || b->records.len > INGEST_BATCH_MAX)
        return err_set(e, ERRC_INVALID, 0, "usage batch: spool id or size");
    /* bigint holds every place there is */
    if (b->segment > INT64_MAX || b->from > INT64_MAX - INGEST_BATCH_MAX ||
        b->next_segment > INT64_MAX || b->next_offset > INT64_MAX ||
        spool_place_cmp(ret->from, ret->after) < 0 || spool_place_cmp(ret->to, ret->from) < 0 ||
        (ret->to.segment == ret->from.segment &&
         ret->to.offset < ret->from.offset + b->records.len))
        return err_set(e, ERRC_INVALID, 0, "usage batch: place");
    (void)num_put_hex(ret->hex, b->spool.data, b->spool.len);
    return ERRC_OK;
}

/* The whole record at or behind `at`; false: there is none. */
static bool next_record(const unsigned char *p, size_t n, size_t at, struct spool_entry *en,
                        size_t *ret_at, size_t *ret_len)
{
    size_t searched = 0;

    for (size_t i = at; i < n && searched < SEARCH_MAX; i++) {
        if (spool_record_read(p + i, n - i, en, ret_len)) {
            *ret_at = i;
            return true;
        }
        uint32_t claim = 0;
        if (n - i >= sizeof claim)
            memcpy(&claim, p + i, sizeof claim);
        searched += claim <= SPOOL_RECORD_MOST ? claim : 0;
    }
    return false;
}

static void take(struct batch *ret, const struct spool_entry *en, struct str raw, bool agent_tags,
                 int64_t now_ms, struct arena *a)
{
    struct spent *s = &ret->spent[ret->n_spent];
    enum spent_read r = spent_read(s, en, agent_tags, now_ms, a);

    if (r) {
        ret->refused[ret->n_refused++] = (struct refusal){raw, spent_read_name(r)};
        return;
    }
    s->raw = raw;
    s->spool = batch_spool(ret);
    ret->n_spent++;
}

enum errc batch_read(struct batch *ret, const Weir__UsageBatch *b, bool agent_tags, int64_t now_ms,
                     struct arena *a, struct err *e)
{
    const unsigned char *p = b->records.data;
    size_t n = b->records.len, most = n / SPOOL_RECORD_LEAST + 1, len, found;
    struct spool_entry en;

    *ret = (struct batch){0};
    enum errc rc = check(ret, b, e);
    if (rc)
        return rc;
    size_t records = 0;
    for (size_t at = 0; next_record(p, n, at, &en, &found, &len); at = found + len)
        records++;
    most = records + 1;
    ret->spent = arena_alloc(a, most * sizeof *ret->spent);
    ret->refused = arena_alloc(a, most * sizeof *ret->refused);
    if (!ret->spent || !ret->refused)
        return err_set(e, ERRC_NOMEM, 0, "usage batch");
    size_t at = 0;
    for (; next_record(p, n, at, &en, &found, &len); at = found + len) {
        ret->damaged += found != at;
        take(ret, &en, (struct str){(const char *)p + found, len}, agent_tags, now_ms, a);
    }
    ret->damaged += at < n;
    return arena_ok(a) ? ERRC_OK : err_set(e, ERRC_NOMEM, 0, "usage batch");
}
