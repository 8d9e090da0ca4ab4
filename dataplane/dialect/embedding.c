#include "dialect/embedding.h"

#include "common/str.h"

enum encoder_state {
    E_PLAIN, /* looking for the key */
    E_COLON, /* it went by */
    E_VALUE, /* and its colon */
    E_FIRST, /* a list was opened, and is held back */
    E_NUMBERS,
};

static const struct str key = STR_INIT("\"embedding\"");
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool in_number(char c)
{
    return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* Four characters of `n` bytes, 1 to 3. */
static bool put_group(struct bufpool *pool, struct buf *out, const unsigned char *b, unsigned n)
{
    uint32_t v = (uint32_t)b[0] << 16 | (n > 1 ? (uint32_t)b[1] << 8 : 0) | (n > 2 ? b[2] : 0u);
    char text[4] = {digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
                    n > 2 ? digits[v & 63] : '='};

    return buf_add(pool, out, text, sizeof text);
}

static bool put_float(struct embedding_encoder *e, struct bufpool *pool, struct buf *out)
{
    uint32_t bits;

    e->number[e->number_n] = '\0';
    float v = strtof(e->number, NULL);
    memcpy(&bits, &v, sizeof bits);
    e->number_n = 0;
    for (unsigned i = 0; i < 4; i++) {
        e->tail[e->tail_n++] = (unsigned char)(bits >> 8 * i);
        if (e->tail_n == 3) {
            e->tail_n = 0;
            if (!put_group(pool, out, e->tail, 3))
                return false;
        }
    }
    return true;
}

static bool put_end(struct embedding_encoder *e, struct bufpool *pool, struct buf *out)
{
    unsigned n = e->tail_n;

    e->tail_n = 0;
    e->state = E_PLAIN;
    return (!n || put_group(pool, out, e->tail, n)) && buf_add(pool, out, "\"", 1);
}

/* Passes over text up to behind the next key; returns where it stopped. */
static const char *pass_plain(struct embedding_encoder *e, const char *p, const char *end)
{
    while (p < end && e->matched < key.n) {
        if (!e->matched && !(p = memchr(p, '"', (size_t)(end - p))))
            return end;
        /* the key begins with the only quote in it but its last: no overlap to think of */
        if (*p == key.p[e->matched]) {
            e->matched++;
            p++;
        } else if (e->matched) {
            e->matched = 0;
        }
    }
    if (e->matched == key.n) {
        e->matched = 0;
        e->state = E_COLON;
    }
    return p;
}

/* One byte of a list of numbers. */
static bool take(struct embedding_encoder *e, struct bufpool *pool, char c, struct buf *out)
{
    if (in_number(c)) {
        if (e->number_n < sizeof e->number - 1) /* more digits than a float can tell apart */
            e->number[e->number_n++] = c;
        return true;
    }
    if (e->number_n && !put_float(e, pool, out))
        return false;
    if (is_blank(c) || c == ',')
        return true;
    return put_end(e, pool, out) && (c == ']' || buf_add(pool, out, &c, 1));
}

bool embedding_encode(struct embedding_encoder *e, struct bufpool *pool, const char *p, size_t n,
                      struct buf *out)
{
    const char *end = p + n, *from;

    while (p < end) {
        switch ((enum encoder_state)e->state) {
        case E_PLAIN:
            from = p;
            p = pass_plain(e, p, end);
            if (!buf_add(pool, out, from, (size_t)(p - from)))
                return false;
            break;
        case E_COLON:
        case E_VALUE:
            if (*p == '[' && e->state == E_VALUE) {
                e->state = E_FIRST;
                p++;
                break;
            }
            if (!is_blank(*p))
                e->state = *p == ':' && e->state == E_COLON ? E_VALUE : E_PLAIN;
            if (e->state == E_PLAIN)
                break; /* a string, or anything else: as it is */
            if (!buf_add(pool, out, p++, 1))
                return false;
            break;
        case E_FIRST:
            if (is_blank(*p)) {
                p++;
                break;
            }
            e->state = in_number(*p) || *p == ']' ? E_NUMBERS : E_PLAIN;
            if (!buf_add(pool, out, e->state == E_NUMBERS ? "\"" : "[", 1))
                return false;
            break;
        case E_NUMBERS:
            if (!take(e, pool, *p++, out))
                return false;
            break;
        }
    }
    return true;
}
