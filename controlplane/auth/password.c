#include "auth/password.h"

#include <crypt.h>
#include <mbedtls/base64.h>
#include <sys/random.h>

enum { LENGTH_MIN = 12, SALT_BYTES = 16, HASH_BYTES = 32, HASH_DIGITS = 43 };

/* crypt(5): its own digits, and scrypt with N = 2^14, r = 8, p = 1. */
static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
#define METHOD "$7$C6..../...."

struct str password_faults(struct arena *a, struct str password)
{
    bool upper = false, lower = false, digit = false, other = false;
    size_t n_chars = 0;
    struct str faults = {0};

    for (size_t i = 0; i < password.n; i++) {
        unsigned char ch = (unsigned char)password.p[i];
        bool is_upper = ch >= 'A' && ch <= 'Z', is_lower = ch >= 'a' && ch <= 'z';
        bool is_digit = ch >= '0' && ch <= '9';
        n_chars += (ch & 0xc0) != 0x80; /* bytes that continue a character are none */
        upper |= is_upper;
        lower |= is_lower;
        digit |= is_digit;
        other |= ch < 0x80 && !is_upper && !is_lower && !is_digit;
    }
    const struct {
        bool is_met;
        const char *text;
    } rows[] = {
        {n_chars >= LENGTH_MIN, "be at least 12 characters long"},
        {upper, "include an uppercase letter"},
        {lower, "include a lowercase letter"},
        {digit, "include a number"},
        {other, "include a special character"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!rows[i].is_met)
            faults = arena_printf(a, STR_FMT "%s%s", STR_ARG(faults), faults.n ? ", " : "",
                                  rows[i].text);
    return faults;
}

/* Four digits are three bytes, the lowest bits first. */
static bool decode(unsigned char *out, const char *text)
{
    for (size_t i = 0, n = 0; i < HASH_DIGITS; i += 4) {
        uint32_t bits = 0;
        for (size_t k = 0; k < 4 && i + k < HASH_DIGITS; k++) {
            const char *d = text[i + k] ? strchr(digits, text[i + k]) : NULL;
            if (!d)
                return false;
            bits |= (uint32_t)(d - digits) << 6 * k;
        }
        for (size_t k = 0; k < 3 && n < HASH_BYTES; k++)
            out[n++] = (unsigned char)(bits >> 8 * k);
    }
    return true;
}

struct str password_hash(struct arena *a, struct str password)
{
    unsigned char raw[SALT_BYTES + HASH_BYTES];
    char setting[sizeof METHOD + SALT_BYTES] = METHOD;
    const char *phrase = arena_str(a, password).p;
    struct crypt_data *data = calloc(1, sizeof *data);
    struct str made = {0};
    unsigned char text[80];
    size_t n;

    if (getrandom(raw, SALT_BYTES, 0) != SALT_BYTES)
        abort(); /* a kernel without entropy makes no salt */
    for (size_t i = 0; i < SALT_BYTES; i++)
        raw[i] = (unsigned char)digits[raw[i] & 63]; /* crypt() reads a salt of digits */
    memcpy(setting + sizeof METHOD - 1, raw, SALT_BYTES);
    const char *hash = phrase && data ? crypt_rn(phrase, setting, data, sizeof *data) : NULL;
    const char *last = hash ? strrchr(hash, '$') : NULL;
    if (last && strlen(last + 1) == HASH_DIGITS && decode(raw + SALT_BYTES, last + 1) &&
        !mbedtls_base64_encode(text, sizeof text, &n, raw, sizeof raw))
        made = arena_printf(a, "scrypt:%.*s", (int)n, (const char *)text);
    free(data);
    return made;
}
