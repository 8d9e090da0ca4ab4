#pragma once

/* The control plane's rows of proto/routes.def, and which one a request names. */

#include "api/fields.h"
#include "auth/rbac.h"

struct call;
typedef void (*call_fn)(struct call *c);

enum admin_route {
#define ADMIN_ROUTE(id, method, path, policy, lane, audit, envelope, input, output, handler,       \
                    sentence)                                                                      \
    ADMIN_##id,
#include "proto/routes.def"
    ADMIN_ROUTES,
};

/* The handlers, declared by their rows. */
#define ADMIN_ROUTE(id, method, path, policy, lane, audit, envelope, input, output, handler,       \
                    sentence)                                                                      \
    void api_##handler(struct call *c);
#include "proto/routes.def"

enum route_method { METHOD_GET, METHOD_POST, METHOD_PUT, METHOD_PATCH, METHOD_DELETE, METHODS };

enum route_lane {
    LANE_LOOP, /* answered on the loop: no database, no waiting */
    LANE_CRUD,
    LANE_REPORT,
    LANES,
};

enum route_audit { AUDIT_QUIET, AUDIT_AUDITED };

/* How refusals look (litellm-controlplane.md 1.2). */
enum envelope {
    ENVELOPE_PROXY,       /* {"error": {message, type, param, code}}, internal_server_error */
    ENVELOPE_PROXY_AUTH,  /* the same, auth_error */
    ENVELOPE_PROXY_LIST,  /* the same; text as it is */
    ENVELOPE_PROXY_SPEND, /* the same, internal_error, "<route> Error(...)" */
    ENVELOPE_PLAIN,       /* {"detail": ...} */
};

struct route_row {
    struct str path;
    const char *name;
    call_fn handler;
    const char *sentence;
    uint8_t method, policy, lane, audit, envelope;
    uint16_t input, output; /* enum field_list */
};

extern const struct route_row route_rows[ADMIN_ROUTES];

const char *route_method_name(enum route_method m);

static inline bool route_is_built(const struct route_row *r)
{
    return r->handler != api_not_built;
}

enum { ROUTE_PARAMS_MAX = 2 };

enum route_found {
    ROUTE_FOUND,
    ROUTE_NONE,       /* 404 */
    ROUTE_BAD_METHOD, /* 405: the path has rows, none with this method */
    ROUTE_BAD_PATH,   /* 400: something that two readers could read differently */
};

struct route_match {
    enum admin_route route;
    struct str param[ROUTE_PARAMS_MAX]; /* as sent, percent-encoded */
    struct str path, query;             /* query without '?' */
};

/* Borrows from `target`. Literal rows come before those with a placeholder. */
enum route_found route_find(struct route_match *ret, struct str method, struct str target,
                            struct str root_path);
