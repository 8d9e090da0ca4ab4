#include "ingest/copy.h"

/* PostgreSQL counts from 2000. */
static const int32_t year_2000_day = 10957;
static const int64_t year_2000_ms = INT64_C(946684800000);

static void flush(struct copy *c)
{
    tx_copy_put(c->tx, (struct str){(const char *)c->buffer, c->n});
    c->n = 0;
}

static void put(struct copy *c, const void *p, size_t n)
{
    if (n > sizeof c->buffer - c->n)
        flush(c);
    if (n > sizeof c->buffer) {
        tx_copy_put(c->tx, (struct str){p, n});
        return;
    }
    memcpy(c->buffer + c->n, p, n);
    c->n += n;
}

/* Big endian, as the wire is. */
static void put_be(struct copy *c, uint64_t v, unsigned bytes)
{
    unsigned char out[8];

    for (unsigned i = 0; i < bytes; i++)
        out[i] = (unsigned char)(v >> (8 * (bytes - 1 - i)));
    put(c, out, bytes);
}

void copy_begin(struct copy *c, struct tx *tx, const char *sql)
{
    c->tx = tx;
    c->n = 0;
    tx_copy_begin(tx, sql);
    put(c, "PGCOPY\n\377\r\n\0", 11);
    put_be(c, 0, 4); /* flags */
    put_be(c, 0, 4); /* extension */
}

void copy_end(struct copy *c)
{
    put_be(c, UINT16_MAX, 2);
    flush(c);
    tx_copy_end(c->tx);
}

void copy_row(struct copy *c, unsigned fields)
{
    put_be(c, fields, 2);
}

void copy_null(struct copy *c)
{
    put_be(c, UINT32_MAX, 4);
}

void copy_text(struct copy *c, struct str s)
{
    put_be(c, s.n, 4);
    put(c, s.p, s.n);
}

void copy_jsonb(struct copy *c, struct str json)
{
    put_be(c, json.n + 1, 4);
    put_be(c, 1, 1); /* version */
    put(c, json.p, json.n);
}

void copy_i32(struct copy *c, int64_t v)
{
    int64_t nearest = MAX(MIN(v, (int64_t)INT32_MAX), (int64_t)INT32_MIN);

    put_be(c, 4, 4);
    put_be(c, (uint64_t)nearest, 4);
}

void copy_i64(struct copy *c, int64_t v)
{
    put_be(c, 8, 4);
    put_be(c, (uint64_t)v, 8);
}

void copy_f64(struct copy *c, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put_be(c, 8, 4);
    put_be(c, bits, 8);
}

void copy_date(struct copy *c, int32_t day)
{
    put_be(c, 4, 4);
    put_be(c, (uint32_t)(day - year_2000_day), 4);
}

void copy_timestamp(struct copy *c, int64_t wall_ms)
{
    put_be(c, 8, 4);
    put_be(c, (uint64_t)((wall_ms - year_2000_ms) * 1000), 8);
}
