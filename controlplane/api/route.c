/* Rows in table order; literal parts are compared as sent, so an encoded slash or dot never names
 * a route. */

#include "api/route.h"

#include "common/http/url.h"

const struct route_row route_rows[ADMIN_ROUTES] = {
#define ADMIN_ROUTE(id, method_, path_, policy_, lane_, audit_, envelope_, input_, output_,        \
                    handler_, sentence_)                                                           \
    [ADMIN_##id] = {STR_INIT(path_),      #id,                                                     \
                    api_##handler_,       sentence_,                                               \
                    METHOD_##method_,     POLICY_##policy_,                                        \
                    LANE_##lane_,         AUDIT_##audit_,                                          \
                    ENVELOPE_##envelope_, FIELDS_##input_,                                         \
                    FIELDS_##output_},
#include "proto/routes.def"
};

static const char *const method_names[METHODS] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

const char *route_method_name(enum route_method m)
{
    return method_names[m];
}

static bool has_placeholder(struct str pattern)
{
    return memchr(pattern.p, '{', pattern.n) != NULL;
}

enum route_found route_find(struct route_match *ret, struct str method, struct str target,
                            struct str root_path)
{
    bool other_method = false;

    *ret = (struct route_match){0};
    if (!target.n || target.p[0] != '/')
        return ROUTE_BAD_PATH;
    (void)str_cut(target, '?', &ret->path, &ret->query); /* without one the query is empty */
    if (!url_path_is_plain(ret->path))
        return ROUTE_BAD_PATH;
    struct str below_root = str_from(ret->path, root_path.n);
    if (str_starts(ret->path, root_path) && str_starts(below_root, STR("/")))
        ret->path = below_root; /* whole segments: /api is no root of /apis */
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < ADMIN_ROUTES; i++) {
            const struct route_row *row = &route_rows[i];
            if (has_placeholder(row->path) != pass ||
                !url_path_match(row->path, ret->path, ret->param, ROUTE_PARAMS_MAX))
                continue;
            if (!str_eq(method, str_of(method_names[row->method]))) {
                other_method = true;
                continue;
            }
            ret->route = (enum admin_route)i;
            return ROUTE_FOUND;
        }
    }
    return other_method ? ROUTE_BAD_METHOD : ROUTE_NONE;
}
