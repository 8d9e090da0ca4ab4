/* Any bytes as the records of a batch: whatever becomes of them fits the database. */

#include "ingest/batch.h"
#include "ingest/ingest.h"
#include "ingest/log_row.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str s)
{
    ASSERT(str_is_utf8(s) && (!s.n || !memchr(s.p, '\0', s.n)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t spool[INGEST_SPOOL_ID];
    static unsigned char sealed[64 * 1024];
    Weir__UsageBatch b = WEIR__USAGE_BATCH__INIT;
    struct batch got;
    struct arena a;
    struct err e;
    size_t n = 0;

    /* as they are, and each piece as the body of a whole record */
    if (size && data[0] & 1) {
        for (size_t at = 1, piece; at < size && n + SPOOL_RECORD_MOST <= sizeof sealed;
             at += piece) {
            piece = MIN(size - at, (size_t)(SPOOL_BODY_MAX));
            piece = MIN(piece, (size_t)data[at] * 4 + 1);
            memcpy(sealed + n + SPOOL_HEAD, data + at, piece);
            n += spool_record_seal(sealed + n, &(struct spool_id){1, 2, at}, SPOOL_USAGE, piece);
        }
    } else {
        n = MIN(size, sizeof sealed);
        memcpy(sealed, data, n);
    }
    b.spool = (ProtobufCBinaryData){sizeof spool, spool};
    b.records = (ProtobufCBinaryData){n, sealed};
    b.segment = b.next_segment = 1;
    b.next_offset = n;
    arena_init(&a, NULL, 16 << 20);
    if (!batch_read(&got, &b, true, 1, &a, &e))
        for (size_t i = 0; i < got.n_spent; i++) {
            const struct spent *s = &got.spent[i];
            const struct str texts[] = {s->call_id, s->response_id, s->model,    s->key,
                                        s->team,    s->user,        s->end_user, s->agent};
            for (size_t k = 0; k < ARRAY_LEN(texts); k++)
                check(texts[k]);
            for (size_t k = 0; k < s->n_tags; k++)
                check(s->tags[k]);
            ASSERT(s->nusd >= 0 && s->prompt >= 0 && s->completion >= 0 && s->requests >= 0);
            ASSERT(s->end_ms > 0 && s->start_ms > 0);
            check(log_row_metadata(s, &a));
        }
    arena_reset(&a);
    return 0;
}
