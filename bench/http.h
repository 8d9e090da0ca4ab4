#pragma once

/* The little HTTP/1.1 both programs read: header lines and chunked framing. Peers are trusted:
 * loopback only. */

#include "util.h"

/* Case-insensitive: is the header line [p, end) named `name` (lower case, with its colon)? */
static inline bool header_is(const char *p, const char *end, const char *name, size_t n)
{
    return (size_t)(end - p) >= n && strncasecmp(p, name, n) == 0;
}
#define HEADER_IS(p, end, lit) header_is(p, end, lit, sizeof(lit) - 1)

/* Case-insensitive: does the value [p, end) hold `word`? */
static inline bool header_has(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);

    for (; (size_t)(end - p) >= n; p++)
        if (strncasecmp(p, word, n) == 0)
            return true;
    return false;
}

static inline bool header_number(const char *p, const char *end, uint64_t *ret)
{
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return digits_read(&p, end, ret);
}

enum chunk_state { CHUNK_SIZE, CHUNK_EXT, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER };

/* Chunked framing (RFC 9112 7.1). In CHUNK_DATA the next `left` bytes are the body's. */
struct chunked {
    enum chunk_state state;
    unsigned trailer_len; /* of the current trailer line */
    uint64_t left;
};

/* The caller took n of the `left` bytes. */
static inline void chunked_skip(struct chunked *k, size_t n)
{
    k->left -= n;
    if (k->left == 0)
        k->state = CHUNK_DATA_END;
}

static inline void chunked_size_byte(struct chunked *k, char b)
{
    if (b == '\n') {
        k->state = k->left ? CHUNK_DATA : CHUNK_TRAILER;
        k->trailer_len = 0;
    } else if (k->state == CHUNK_EXT) {
        return;
    } else if (b >= '0' && b <= '9') {
        k->left = k->left * 16 + (uint64_t)(b - '0');
    } else if ((b | 32) >= 'a' && (b | 32) <= 'f') {
        k->left = k->left * 16 + (uint64_t)((b | 32) - 'a' + 10);
    } else {
        k->state = CHUNK_EXT;
    }
}

/* One byte of framing, outside CHUNK_DATA; true when it ends the body. */
static inline bool chunked_byte(struct chunked *k, char b)
{
    switch (k->state) {
    case CHUNK_SIZE:
    case CHUNK_EXT:
        chunked_size_byte(k, b);
        return false;
    case CHUNK_DATA:
    case CHUNK_DATA_END:
        if (b == '\n')
            k->state = CHUNK_SIZE;
        return false;
    case CHUNK_TRAILER:
        if (b == '\n' && k->trailer_len == 0)
            return true;
        if (b != '\r')
            k->trailer_len = b == '\n' ? 0 : k->trailer_len + 1;
        return false;
    }
    return false;
}
