/* Rows in table order; literal parts are compared as sent, so an encoded slash or dot never names a
 * route. */

#include "api/route.h"

#include "common/http/url.h"

enum { FORM_BARE = 1, FORM_V1 = 2, FORM_OPENAI_V1 = 4 };
enum {
    FORMS_BARE = FORM_BARE,
    FORMS_V1 = FORM_BARE | FORM_V1,
    FORMS_OPENAI_V1 = FORM_BARE | FORM_V1 | FORM_OPENAI_V1
};

const struct route_row route_rows[ROUTES] = {
#define ROUTE(id, method_, path_, forms_, policy_, handler_, api_)                                 \
    [ROUTE_##id] = {STR_INIT(path_),    #id, METHOD_##method_, FORMS_##forms_, POLICY_##policy_,   \
                    HANDLER_##handler_, api_},
#include "proto/routes.def"
};

static const struct {
    struct str method, path;
    enum route_lane lane;
} admin_rows[] = {
#define ADMIN_ROUTE(id, method, path, policy, lane, audit, envelope, input, output, handler,       \
                    sentence)                                                                      \
    {STR_INIT(#method), STR_INIT(path), LANE_##lane},
#include "proto/routes.def"
};

/* `path` against a row's pattern; *ret is what its star stands for: not empty. */
static bool path_matches(struct str pattern, struct str path, struct str *ret)
{
    struct str before, after;

    if (!str_cut(pattern, '*', &before, &after))
        return str_eq(pattern, path);
    if (path.n <= before.n + after.n || !str_starts(path, before) || !str_ends(path, after))
        return false;
    *ret = (struct str){path.p + before.n, path.n - before.n - after.n};
    /* a response id is one segment; a model name may have several where something follows or
     * nothing can */
    return !str_eq(before, STR("/responses/")) || !memchr(ret->p, '/', ret->n);
}

/* Whole segments: /api is no root of /apis. */
static struct str below_root(struct str path, struct str root_path)
{
    struct str below = str_from(path, root_path.n);

    return str_starts(path, root_path) && str_starts(below, STR("/")) ? below : path;
}

enum route_found route_find(struct route_match *ret, enum route_method method, struct str target,
                            struct str root_path)
{
    static const struct {
        struct str prefix;
        uint8_t form;
    } forms[] = {
        {STR_INIT("/v1/"), FORM_V1},
        {STR_INIT("/"), FORM_BARE},
        {STR_INIT("/openai/v1/"), FORM_OPENAI_V1},
    };
    struct str path;
    bool other_method = false;

    if (!target.n || target.p[0] != '/')
        return ROUTE_BAD_PATH;
    (void)str_cut(target, '?', &path, &ret->query); /* without one the query is empty */
    if (!url_path_is_plain(path))
        return ROUTE_BAD_PATH;
    path = below_root(path, root_path);
    ret->path = path;
    for (size_t f = 0; f < ARRAY_LEN(forms); f++) {
        if (!str_starts(path, forms[f].prefix))
            continue;
        struct str below = str_from(path, forms[f].prefix.n - 1);
        for (unsigned i = 0; i < ROUTES; i++) {
            const struct route_row *row = &route_rows[i];
            struct str placeholder = {0};
            if (!(row->forms & forms[f].form) || !path_matches(row->path, below, &placeholder))
                continue;
            if (row->method != method) {
                other_method = true;
                continue;
            }
            ret->route = (enum route)i;
            ret->placeholder = placeholder;
            return ROUTE_FOUND;
        }
    }
    return other_method ? ROUTE_BAD_METHOD : ROUTE_NONE;
}

enum route_found route_find_forwarded(struct route_forward *ret, struct str method,
                                      struct str target, struct str root_path)
{
    struct str query, param[2];
    bool other_method = false;

    (void)str_cut(target, '?', &ret->path, &query); /* without one the path is all of it */
    ret->path = below_root(ret->path, root_path);
    for (size_t i = 0; i < ARRAY_LEN(admin_rows); i++) {
        if (!url_path_match(admin_rows[i].path, ret->path, param, ARRAY_LEN(param)))
            continue;
        if (str_eq(admin_rows[i].method, method)) {
            ret->lane = admin_rows[i].lane;
            return ROUTE_FOUND;
        }
        other_method = true;
    }
    return other_method ? ROUTE_BAD_METHOD : ROUTE_NONE;
}
