#pragma once

/*
 * Embeddings as base64 for a client that asked for it, from an upstream that answers in numbers all
 * the same (wire-formats.md F.41): official SDKs ask on their own and decode what comes. Each list
 * of numbers under "embedding" becomes a string of little-endian 32 bit floats; all other bytes
 * pass. Resumable at any byte. Pure.
 */

#include "common/bufpool.h"

struct embedding_encoder { /* zeroed: at the beginning of a reply; private */
    uint8_t state, matched;
    uint8_t number_n, tail_n;
    char number[64];
    unsigned char tail[3]; /* bytes that do not make four characters yet */
};

/* Appends what becomes of the next bytes to `out`; false when memory ended. */
MUST_CHECK bool embedding_encode(struct embedding_encoder *e, struct bufpool *pool, const char *p,
                                 size_t n, struct buf *out);
