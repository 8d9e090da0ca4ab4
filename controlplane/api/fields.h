#pragma once

/* The lists of api/fields: what a request or reply holds. */

#include "common/str.h"

enum field_list {
#define FIELDS(list, where, title) FIELDS_##list,
#include "api/fields/fields.def"
    FIELD_LISTS,
};
static_assert(FIELD_LISTS <= UINT16_MAX, "routes keep a list in 16 bits");

#define FIELD_TYPES(X)                                                                             \
    X(TEXT, "string")                                                                              \
    X(INTEGER, "integer")                                                                          \
    X(NUMBER, "number")                                                                            \
    X(BOOLEAN, "boolean")                                                                          \
    X(TIME, "string")                                                                              \
    X(CHOICE, "string")                                                                            \
    X(OBJECT, "object")                                                                            \
    X(LIST, "array")                                                                               \
    X(TEXTS, "array")                                                                              \
    X(ANY, "")

enum field_type {
#define X(id, json) FIELD_##id,
    FIELD_TYPES(X)
#undef X
};

enum field_where { FIELD_BODY, FIELD_QUERY };

struct field {
    enum field_list list;
    struct str name; /* empty: all members of `sub` */
    enum field_type type;
    const char *sentence;

    bool required;
    bool not_null;
    bool admin;       /* only a proxy_admin may send it */
    const char *dflt; /* as JSON; NULL: none */
    const char *values;
    enum field_list sub; /* of an object, of a list's items; FIELDS_NONE: anything */
    bool has_min, has_max;
    double min, max;
};

const char *field_list_title(enum field_list l);
enum field_where field_list_where(enum field_list l);

/* Visits the members of a list, those of included ones among them: from *at = 0 until NULL. */
struct field_walk {
    uint16_t at[4];
    unsigned depth;
    bool begun;
};
const struct field *field_next(struct field_walk *w, enum field_list l);

/* The rows of all lists as they are written: an included list is one, with no name. NULL: no more.
 */
const struct field *field_row(size_t i);

/* The member of that name, or NULL. */
const struct field *field_find(enum field_list l, struct str name);

/* True when a member is required. */
bool field_list_is_required(enum field_list l);
