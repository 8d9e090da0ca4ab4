#pragma once

/* An api_base, read strictly: what is not plainly an http(s) URL is refused (threats O-07). */

#include "common/arena.h"
#include "common/err.h"

struct url {
    bool tls;
    struct str host; /* lower case; IPv6 without brackets */
    uint16_t port;
    struct str path;  /* "" or "/v1": no slash at the end */
    struct str query; /* without '?' */
};

/*
 * Reads `text`; parts are copies in the arena. Refuses userinfo, fragments, bytes a URL may not
 * hold, dot segments, bad ports and hosts that are neither a name nor an address in its usual
 * notation. The message names no part of `text`: it may hold a credential.
 */
MUST_CHECK enum errc url_parse(struct url *u, struct str text, struct arena *a, struct err *e);

/* "https://host:port/path", the port only when it is not the scheme's. */
struct str url_text(const struct url *u, struct arena *a);

/* Value of the Host header. */
struct str url_authority(const struct url *u, struct arena *a);

/* Value of a query parameter as it stands there; empty when absent. */
struct str url_query_value(const struct url *u, struct str name);

/* `s` with every byte outside RFC 3986's unreserved set percent-encoded, '/' too. */
struct str url_encode(struct str s, struct arena *a);
