#pragma once

/*
 * The settings table (settings.def): what each key of config.yaml and each environment variable
 * means here, and what becomes of one that is not built.
 */

#include "common/conf.h"

#define SETTING_SECTIONS(X)                                                                        \
    X(TOP, "", true)                                                                               \
    X(MODEL, "model_list", true)                                                                   \
    X(PARAMS, "litellm_params", false)                                                             \
    X(INFO, "model_info", false)                                                                   \
    X(ROUTER, "router_settings", true)                                                             \
    X(LITELLM, "litellm_settings", true)                                                           \
    X(GENERAL, "general_settings", true)                                                           \
    X(CREDENTIAL, "credential_list", true)                                                         \
    X(WEIR, "weir", true)                                                                          \
    X(ENV, "environment", false)

enum setting_section {
#define X(id, name, closed) SECTION_##id,
    SETTING_SECTIONS(X)
#undef X
        SECTIONS,
};

#define SETTING_TYPES(X)                                                                           \
    X(BOOL, "true or false")                                                                       \
    X(COUNT, "a whole number")                                                                     \
    X(NUMBER, "a number")                                                                          \
    X(SECONDS, "seconds")                                                                          \
    X(MB, "MiB")                                                                                   \
    X(TEXT, "text")                                                                                \
    X(NAMES, "text or a list of texts")                                                            \
    X(LIST, "a list")                                                                              \
    X(MAP, "a map")                                                                                \
    X(ANY, "any")

enum setting_type {
#define X(id, name) TYPE_##id,
    SETTING_TYPES(X)
#undef X
};

enum setting_verdict {
    VERDICT_HONOURED,
    VERDICT_HARMLESS, /* without effect; one warning at start names all such keys */
    VERDICT_ENFORCES, /* without effect, and something would go unprotected: the start is refused */
};

enum setting_id {
#define SETTING(section, key, type, dflt, min, max, values, verdict, sentence)                     \
    SETTING_##section##_##key,
#include "common/gateway/settings.def"
#undef SETTING
    SETTINGS,
};

struct setting {
    enum setting_section section;
    struct str key;
    enum setting_type type;
    struct str dflt;   /* as it would be written; empty: none */
    uint32_t min, max; /* in the type's unit; both 0: unbounded */
    struct str values; /* "a|b": the texts allowed; of a harmless row: those that enforce */
    enum setting_verdict verdict;
    const char *sentence;
};

const struct setting *setting_at(enum setting_id id);

/* Name of a section ("router_settings"; the top level: ""), and whether other keys are errors. */
struct str setting_section_name(enum setting_section s);
bool setting_section_is_closed(enum setting_section s);
const char *setting_type_name(enum setting_type t);
const char *setting_verdict_name(enum setting_verdict v);

/* The row of a key, or SETTINGS. */
enum setting_id setting_find(enum setting_section section, struct str key);

/* The row whose key is nearest to a misspelt one, or SETTINGS when none is near. */
enum setting_id setting_nearest(enum setting_section section, struct str key);

/* What the row would do if it held this: off, empty or the default means nothing is asked for. */
bool setting_is_default(const struct setting *s, const struct conf_node *n);

/* True when a harmless row holds one of the values that make it enforce. */
bool setting_enforces(const struct setting *s, const struct conf_node *n);

/* Notes an error when the value is not of the row's type, bounds and texts; null passes. */
bool setting_check(const struct setting *s, const struct conf_node *n, struct conf_log *log);

/* The text of a TEXT, or of item i of NAMES; false beyond the last and when unset. */
bool setting_name(const struct conf_node *n, uint32_t i, struct str *ret);
