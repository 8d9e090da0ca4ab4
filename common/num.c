/* Numbers from text and back. */

#include "common/num.h"

#include <limits.h>

bool num_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v))
            return false;
    }
    *ret = v;
    return true;
}

bool num_u32(struct str s, uint32_t *ret)
{
    uint64_t v;

    if (!num_u64(s, &v) || v > UINT32_MAX)
        return false;
    *ret = (uint32_t)v;
    return true;
}

bool num_i64(struct str s, int64_t *ret)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;

    if (!num_u64(str_from(s, minus), &v) || v > (uint64_t)INT64_MAX + minus)
        return false;
    *ret = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* Reads digits at *at into *v (up to 18 significant ones; later ones only move the exponent). */
static size_t scaled_digits(struct str s, size_t *at, uint64_t *v, int *dropped)
{
    size_t from = *at;

    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; (*at)++) {
        if (*v < UINT64_C(100000000000000000))
            *v = *v * 10 + (uint64_t)(s.p[*at] - '0');
        else
            (*dropped)++;
    }
    return *at - from;
}

bool num_scaled(struct str s, int scale, int64_t *ret)
{
    size_t at = s.n && s.p[0] == '-';
    bool minus = at == 1;
    uint64_t v = 0;
    int dropped = 0;
    int64_t exp = 0;

    if (scaled_digits(s, &at, &v, &dropped) == 0)
        return false;
    exp = dropped;
    if (at < s.n && s.p[at] == '.') {
        at++;
        dropped = 0;
        size_t frac = scaled_digits(s, &at, &v, &dropped);
        if (frac == 0)
            return false;
        exp -= (int64_t)frac - dropped;
    }
    if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
        struct str digits = str_from(s, at + 1);
        int64_t e;
        if (digits.n && digits.p[0] == '+')
            digits = str_from(digits, 1);
        if (!num_i64(digits, &e) || e > 100 || e < -100)
            return false;
        exp += e;
        at = s.n;
    }
    if (at != s.n)
        return false;
    exp += scale;
    for (; exp > 0 && v; exp--)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v))
            return false;
    bool up = false;
    for (; exp < 0 && (v || up); exp++) {
        up = v % 10 >= 5;
        v /= 10;
    }
    v += up;
    if (v > INT64_MAX)
        return false;
    *ret = minus ? -(int64_t)v : (int64_t)v;
    return true;
}

static unsigned digits(uint64_t v)
{
    static const uint64_t powers[20] = {0,
                                        UINT64_C(10),
                                        UINT64_C(100),
                                        UINT64_C(1000),
                                        UINT64_C(10000),
                                        UINT64_C(100000),
                                        UINT64_C(1000000),
                                        UINT64_C(10000000),
                                        UINT64_C(100000000),
                                        UINT64_C(1000000000),
                                        UINT64_C(10000000000),
                                        UINT64_C(100000000000),
                                        UINT64_C(1000000000000),
                                        UINT64_C(10000000000000),
                                        UINT64_C(100000000000000),
                                        UINT64_C(1000000000000000),
                                        UINT64_C(10000000000000000),
                                        UINT64_C(100000000000000000),
                                        UINT64_C(1000000000000000000),
                                        UINT64_C(10000000000000000000)};
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    unsigned n = bits * 1233 >> 12; /* log10(2), at most one below */

    return n + (v >= powers[n]);
}

size_t num_put_u64(char *out, uint64_t v)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    unsigned n = digits(v), at = n;

    for (; at >= 2; v /= 100) {
        at -= 2;
        memcpy(out + at, pairs + 2 * (v % 100), 2);
    }
    if (at)
        out[0] = (char)('0' + v);
    return n;
}

size_t num_put_hex(char *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[from[i] >> 4];
        out[2 * i + 1] = digits[from[i] & 15];
    }
    return 2 * n;
}
