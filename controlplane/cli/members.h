#pragma once

/* name=value on the command line becomes a member of a request, in the type its route says. */

#include <yyjson.h>

#include "common/arena.h"
#include "common/err.h"

#include "api/fields.h"

/* The members a route's request may have; false when no row of proto/routes.def is known. */
bool members_of_route(const char *method, const char *path, enum field_list *ret);

/*
 * Adds "name=value" to `obj`. "a.b=value" is member b of a. Texts are taken as they are; lists are
 * JSON or texts with commas between; "null" is null. ERRC_INVALID says what is wrong with it.
 */
MUST_CHECK enum errc member_put(yyjson_mut_doc *doc, yyjson_mut_val *obj, enum field_list list,
                                struct str arg, struct err *e);

/* What a field's value looks like: "text", "number", "a,b,c" ... */
const char *member_form(const struct field *f);
