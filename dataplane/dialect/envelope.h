#pragma once

/*
 * Errors as the client's API words them: whole bodies before the first byte, events after it
 * (litellm-dataplane.md 7.1 to 7.5, wire-formats.md A.10, B.11, C.8). Pure.
 */

#include "common/gateway/api.h"
#include "common/jw.h"

struct error_facts {
    uint16_t status;
    struct str type; /* empty: by status */
    struct str message;
    struct str code;                         /* empty: the status */
    struct str param;                        /* empty: null */
    struct str provider_type, provider_code; /* what the provider called it; empty: nothing */
    uint64_t sequence;                       /* sequence_number of a Responses event */
    struct str request_id;                   /* for the Anthropic envelope; empty: left out */
    struct str details;                      /* the same: error.details, a JSON object */
};

/* The body of an error reply of `api` (API_COUNT: none in particular); empty when the arena
 * overflowed. */
struct str envelope_body(struct arena *a, enum api api, const struct error_facts *f);

/* The event that ends a stream of `api`, with its blank line. */
struct str envelope_event(struct arena *a, enum api api, const struct error_facts *f);

/*
 * Reads an upstream's error body, whatever its shape (providers.md section 5), into f->message,
 * param, provider_type, provider_code and details, which borrow from the arena. Bytes equal to
 * `secret` (the deployment's credential; may be empty) are masked. f->status is the caller's.
 */
void envelope_read(struct arena *a, struct error_facts *f, struct str body, struct str secret);

/* Masks what equals `secret` in the n bytes at p. */
void envelope_mask(char *p, size_t n, struct str secret);

/* The status that an error inside a 200 stands for: its numeric code, else by its type or code,
 * else 500 (F.9). */
uint16_t envelope_error_status(struct str body);

/* The status a client of `api` sees for an upstream's: 529 is 503 but for Anthropic clients; 3xx
 * and oddities are 502. */
uint16_t envelope_status(enum api api, unsigned upstream_status);

/* Sets of `f` what an upstream's status means to a client of `api`: status, and for a 529 that
 * becomes a 503 also type and code. */
void envelope_refusal(struct error_facts *f, enum api api, unsigned upstream_status);
