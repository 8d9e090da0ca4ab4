#include "link/spool_record.h"

#include "common/crc32c.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the spool is little endian"
#endif

bool spool_record_read(const unsigned char *p, size_t n, struct spool_entry *ret, size_t *ret_len)
{
    uint32_t len, crc;

    if (n < SPOOL_RECORD_LEAST)
        return false;
    memcpy(&len, p, 4);
    if (len < SPOOL_RECORD_LEAST || len > SPOOL_RECORD_MOST || len > n)
        return false;
    memcpy(&crc, p + len - SPOOL_CRC, 4);
    if (crc != crc32c(0, p, len - SPOOL_CRC))
        return false;
    ret->type = p[4];
    ret->version = p[5];
    memcpy(&ret->id.epoch, p + 6, 8);
    memcpy(&ret->id.region, p + 14, 4);
    memcpy(&ret->id.seq, p + 18, 8);
    ret->body = (struct str){(const char *)p + SPOOL_HEAD, len - SPOOL_RECORD_LEAST};
    *ret_len = len;
    return true;
}

size_t spool_record_seal(unsigned char *p, const struct spool_id *id, uint8_t type, size_t body_len)
{
    uint32_t len = (uint32_t)(SPOOL_RECORD_LEAST + body_len);

    ASSERT(body_len <= SPOOL_BODY_MAX);
    memcpy(p, &len, 4);
    p[4] = type;
    p[5] = SPOOL_VERSION;
    memcpy(p + 6, &id->epoch, 8);
    memcpy(p + 14, &id->region, 4);
    memcpy(p + 18, &id->seq, 8);
    uint32_t crc = crc32c(0, p, len - SPOOL_CRC);
    memcpy(p + len - SPOOL_CRC, &crc, 4);
    return len;
}

size_t spool_record_find(const unsigned char *p, size_t n, size_t at)
{
    struct spool_entry en;
    size_t len, next_len;

    if (spool_record_read(p + at, n - at, &en, &len))
        return at;
    for (size_t i = at + 1; i < n; i++)
        if (spool_record_read(p + i, n - i, &en, &len) &&
            spool_record_read(p + i + len, n - i - len, &en, &next_len))
            return i;
    return n;
}
