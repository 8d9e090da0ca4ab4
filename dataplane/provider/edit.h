#pragma once

/*
 * What a deployment does to a request body that is otherwise passed byte for byte: an ordered list
 * of small edits on JSON members, compiled from its provider's row (providers.md 2.1) and its
 * litellm_params. The link compiles them into the snapshot; the worker applies them as splices.
 */

#include "common/str.h"

enum edit_op {
    EDIT_RENAME,      /* member `a` becomes `b`; when both were sent the renamed one wins */
    EDIT_DROP,        /* member `a` is removed; with `b` only when its value is the JSON `b` */
    EDIT_UNSUPPORTED, /* member `a` is removed when its value is null or the JSON `b`, which is what
                         the provider does anyway; else removed when drop_params is on; else the
                         request is 400 UnsupportedParams */
    EDIT_SET,         /* member `a` gets the JSON value `b`, whether sent or not (extra_body) */
    EDIT_DEFAULT, /* member `a` gets the JSON value `b` when absent (litellm_params, default:) */
    EDIT_MAP, /* a string member `a` equal to `b` becomes the JSON value `c`; b "object": any object
                 value */
    EDIT_MAX, /* a number member `a` above the JSON number `b` becomes `b` */
    EDIT_MIN, /* a number member `a` below the JSON number `b` becomes `b` */
    EDIT_STRIP, /* nested path `a` is removed wherever it occurs: "tools.strict" is key strict of
                   every object in tools or of its "function" object; "messages.name" of every
                   message; "tools.**.x" is key x at any depth below tools */
    EDIT_STRIP_NULL, /* members of every element of array `a` whose value is null are removed
                        ("messages") */
    EDIT_FLATTEN,    /* messages[].content lists made of text parts only become one string; `a`
                        restricts to roles
                        ("tool|assistant") or is empty; `b` joins the parts (a JSON string body, e.g.
                        "" or "\\n") */
    EDIT_OPS,
};

struct edit {
    enum edit_op op;
    uint32_t apis; /* BIT(enum api): requests the edit is for */
    struct str a, b, c;
    struct str when_model; /* globs_match() on the upstream model name; empty: always. The compiler
                              resolves it where the model is known and leaves it for the worker on
                              wildcard deployments */
};
