#pragma once

/* CRC-32C (Castagnoli; RFC 3720 appendix B.4): what guards records on disk. */

#include "common/base.h"

/* The checksum of `n` bytes, going on from `crc` (0 to begin): crc32c(crc32c(0, a), b) is that of a
 * and b together. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
