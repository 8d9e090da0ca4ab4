#pragma once

/*
 * What a deployment does to request bodies: an ordered list of small edits on JSON members,
 * compiled from litellm_params and its provider's row (providers.md 2.1). The link compiles them
 * into the snapshot; the worker applies them as splices (dialect/body_edit.h).
 *
 * A request in the upstream's own API has one body, and every edit for that API applies to it. A
 * translated one has two: the client's before translation and the upstream's after it. Edits of the
 * provider's row apply to either, by `apis`: what they name decides. The configuration's apply to
 * one of the two, by `side`.
 */

#include "common/gateway/api.h"

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
    EDIT_ROLE, /* messages[].role `a` becomes the JSON string `b`; translated ones have their roles
                */
    EDIT_OPS,
};

enum edit_side {
    EDIT_EACH,   /* both bodies */
    EDIT_OPENAI, /* the one in OpenAI's words: edit_openai_side() */
    EDIT_SENT,   /* the one that is sent */
};

enum edit_while { /* the request's own word decides */
                  EDIT_ALWAYS,
                  EDIT_REASONING,     /* it lets the model reason */
                  EDIT_NOT_REASONING, /* it asks for effort none */
};

struct edit {
    enum edit_op op;
    uint32_t apis; /* BIT(enum api): bodies the edit is for */
    struct str a, b, c;
    struct str when_model; /* globs_match() on the upstream model name; empty: always. The compiler
                              resolves it where the model is known and leaves it for the worker on
                              wildcard deployments */
    uint32_t has, lacks;   /* of the model's capabilities; resolved likewise */
    enum edit_while only_while;
    enum edit_side side;
};

/*
 * Where litellm_params speak of a request from `client` to `upstream`: in its chat body, else its
 * completions or Responses body, else (Messages to Messages) the only one there is.
 */
static inline enum api edit_openai_side(enum api client, enum api upstream)
{
    return client == API_CHAT || (upstream != API_CHAT && client != API_MESSAGES) ? client
                                                                                  : upstream;
}
