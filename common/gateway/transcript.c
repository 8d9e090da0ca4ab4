#include "common/gateway/transcript.h"

#include <sodium.h>

/* The place it is sealed for, and the key of that place. */
static struct str place_of(const struct seal_key *k, const struct transcript_id *id,
                           struct arena *a, struct seal_key *ret_key)
{
    unsigned char secret[32];
    struct str place = arena_printf(a, "transcript " STR_FMT " %lld %u", STR_ARG(id->call),
                                    (long long)id->start_us, id->attempt);

    if (!place.n || !seal_key_derive(k, place.p, secret) ||
        !seal_key_init(ret_key, (struct str){(const char *)secret, sizeof secret}))
        place = (struct str){0};
    sodium_memzero(secret, sizeof secret);
    return place;
}

struct str transcript_seal(const struct seal_key *k, const struct transcript_id *id,
                           struct str plain, struct arena *a)
{
    struct seal_key key = {.is_set = false};
    struct str place = place_of(k, id, a, &key), sealed = {0};

    if (place.n && plain.n <= TRANSCRIPT_MAX)
        sealed = seal_own(&key, place, plain, a);
    sodium_memzero(&key, sizeof key);
    return sealed;
}

bool transcript_open(const struct seal_key *k, const struct transcript_id *id, struct str sealed,
                     struct arena *a, struct str *ret_plain)
{
    struct seal_key key = {.is_set = false};
    struct str place = place_of(k, id, a, &key);
    bool ok = place.n && seal_own_open(&key, place, sealed, a, ret_plain);

    sodium_memzero(&key, sizeof key);
    return ok;
}
