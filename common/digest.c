#include "common/digest.h"

#include <mbedtls/md5.h>
#include <mbedtls/sha256.h>

#include "common/num.h"

bool sha256_put_hex(char out[SHA256_HEX + 1], struct str bytes)
{
    unsigned char digest[SHA256_HEX / 2];

    if (mbedtls_sha256((const unsigned char *)bytes.p, bytes.n, digest, 0) != 0)
        return false;
    out[num_put_hex(out, digest, sizeof digest)] = '\0';
    return true;
}

struct str sha256_hex(struct arena *a, struct str bytes)
{
    char *hex = arena_alloc(a, SHA256_HEX + 1);

    return hex && sha256_put_hex(hex, bytes) ? (struct str){hex, SHA256_HEX} : (struct str){0};
}

bool md5_head(uint64_t *ret, struct str bytes)
{
    unsigned char digest[16];

    if (mbedtls_md5((const unsigned char *)bytes.p, bytes.n, digest) != 0)
        return false;
    *ret = 0;
    for (unsigned i = 0; i < sizeof *ret; i++)
        *ret = *ret << 8 | digest[i];
    return true;
}
