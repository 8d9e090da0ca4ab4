/* The table of parameters, and the notation of those below the top level. */

#include "common/gateway/param.h"

static const struct param params[] = {
#define A(id)                                | BIT(API_##id)
#define PARAMETER(name, plain, silent, apis) {STR_INIT(name), STR_INIT(plain), silent, 0 apis},
#include "common/gateway/params.def"
#undef PARAMETER
#undef A
};

size_t param_count(void)
{
    return ARRAY_LEN(params);
}

const struct param *param_at(size_t i)
{
    ASSERT(i < ARRAY_LEN(params));
    return &params[i];
}

const struct param *param_find(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        if (str_eq(name, params[i].name))
            return &params[i];
    return NULL;
}

struct str param_path(struct str name, struct arena *a)
{
    char *out = arena_alloc(a, name.n);
    size_t n = 0;

    for (size_t i = 0; out && i < name.n; i++) {
        if (str_starts(str_from(name, i), STR("[*]")))
            i += 2;
        else if (name.p[i] == '[' || name.p[i] == ']')
            return (struct str){0};
        else
            out[n++] = name.p[i];
    }
    return (struct str){out, n};
}
