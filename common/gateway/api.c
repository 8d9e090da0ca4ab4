/* Names of the APIs, for tables and messages. */

#include "common/gateway/api.h"

static const struct str names[API_COUNT] = {
#define X(id, name) STR_INIT(name),
    API_ROWS(X)
#undef X
};

struct str api_name(enum api api)
{
    return names[api];
}

enum api api_named(struct str name)
{
    enum api api = 0;

    while (api < API_COUNT && !str_eq(names[api], name))
        api++;
    return api;
}
