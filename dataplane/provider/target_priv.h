#pragma once

/* A target in the making: what target.c, adapters.c and hooks.c pass to each other. */

#include "common/gateway/provider.h"

#include "provider/quirks.h"
#include "provider/target.h"
#include "provider/url.h"

struct make {
    struct target *t; /* being filled */
    const struct target_config *c;
    const struct provider *row;  /* whose rules hold */
    const struct provider *vars; /* whose variables and default base hold */
    struct arena *a;
    struct err *e;
    struct str name;         /* model name behind the provider prefix, as configured */
    struct url base;         /* without path suffix of an API */
    bool base_is_configured; /* by litellm_params or the environment, not by the table */
    struct str key;          /* credential; empty: none */
    struct str key_word;     /* what stands before it: "Bearer ", or nothing */
    struct str key_header;   /* header it goes in; empty: none is sent */
    struct str key_names;    /* variables it may stand in, separated by blanks */
    struct str after;        /* of all paths: "?api-version=..." */
    struct str main_path; /* of the provider's main endpoint: row->path until a hook knows better */
    struct quirks q;
};

/* The first of blank-separated variables that is set; empty when none is. */
struct str make_env(const struct make *m, struct str names);

/* The configured base, else the first variable set, else the row's; into m->base. ERRC_INVALID
 * when there is none. */
MUST_CHECK enum errc make_base(struct make *m);

/* Takes this URL for the base. */
MUST_CHECK enum errc make_base_at(struct make *m, struct str text);

/* litellm_params.api_key, else the row's variables; the row's header for it. */
void make_key(struct make *m);

/* Paths of all APIs the row serves, on m->base and m->main_path (providers.md 5). */
void make_paths(struct make *m);

/* Sets the path of one API: `path` is a request path, m->after follows. */
void make_path(struct make *m, enum api api, struct str path);

/* Cuts `suffix` off the end of the base's path; false when it is not there. */
bool make_cut_base(struct make *m, struct str suffix);

/* One per adapter that this build speaks. */
MUST_CHECK enum errc make_openai(struct make *m);
MUST_CHECK enum errc make_anthropic(struct make *m);
MUST_CHECK enum errc make_azure(struct make *m);
MUST_CHECK enum errc make_azure_ai(struct make *m);

/* Runs the hook of the row, if it names one. ERRC_INVALID with a sentence. */
MUST_CHECK enum errc hook_run(struct make *m);

/* True when `name` is a row of the table of hooks. */
bool hook_exists(struct str name);
