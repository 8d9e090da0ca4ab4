#pragma once

/* SHA-256 as text; MD5, where PostgreSQL's md5() names things. */

#include "common/arena.h"

enum { SHA256_HEX = 64 };

/* Lower-case hex digits, a NUL behind. False: the library failed. */
MUST_CHECK bool sha256_put_hex(char out[SHA256_HEX + 1], struct str bytes);

/* The same in the arena; empty when it could not be. */
struct str sha256_hex(struct arena *a, struct str bytes);

/* The first eight bytes of the MD5, the first one the highest; no secret hangs on it. */
MUST_CHECK bool md5_head(uint64_t *ret, struct str bytes);
