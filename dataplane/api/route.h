#pragma once

/* Which row of proto/routes.def a request line names. */

#include "common/gateway/api.h"
#include "common/str.h"

enum route {
#define ROUTE(id, method, path, forms, policy, handler, api) ROUTE_##id,
#include "proto/routes.def"
    ROUTES,
};

enum route_method { METHOD_GET, METHOD_POST, METHOD_DELETE, METHOD_OPTIONS, METHOD_OTHER };
enum route_policy { POLICY_PUBLIC, POLICY_KEY, POLICY_METRICS, POLICY_THEIRS };
enum route_handler {
    HANDLER_INFERENCE,
    HANDLER_RESPONSE_ITEM,
    HANDLER_TOKEN_COUNTER,
    HANDLER_MODELS,
    HANDLER_MODEL,
    HANDLER_MODEL_INFO,
    HANDLER_MODEL_GROUP_INFO,
    HANDLER_LIVE,
    HANDLER_READY,
    HANDLER_HEALTH,
    HANDLER_METRICS,
    HANDLER_FORWARD,
};

struct route_row {
    struct str path; /* with '*' for its placeholder */
    const char *name;
    uint8_t method, forms, policy, handler;
    enum api api;
};

extern const struct route_row route_rows[ROUTES];

enum route_found {
    ROUTE_FOUND,
    ROUTE_NONE,       /* 404 */
    ROUTE_BAD_METHOD, /* 405: the path has rows, none with this method */
    ROUTE_BAD_PATH,   /* 400: something that two readers could read differently (threats H-08) */
};

struct route_match {
    enum route route;
    struct str placeholder; /* as sent, percent-encoded */
    struct str query;       /* without '?' */
    struct str path;        /* below the root path */
};

/* The control plane's lanes: how long an answer may take. */
enum route_lane { LANE_LOOP, LANE_CRUD, LANE_REPORT, LANES };

struct route_forward {
    enum route_lane lane;
    struct str path; /* below the root path; the query is route_match's */
};

/* Matches a request target against the table, below `root_path`. Borrows from `target`. */
enum route_found route_find(struct route_match *ret, enum route_method method, struct str target,
                            struct str root_path);

/* A row of the control plane for a target without one here, which route_find() called plain. */
enum route_found route_find_forwarded(struct route_forward *ret, struct str method,
                                      struct str target, struct str root_path);
