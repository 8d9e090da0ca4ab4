#pragma once

/*
 * The edits that reach below the top level of a request body: members removed from messages and
 * tools, text parts joined, roles renamed. Rare, so they cost a second look at those two values
 * only where a deployment has such edits and the first scan did not rule them out. Pure; the body
 * is valid JSON where it is looked at, or nothing is edited.
 */

#include "dialect/edit_scope.h"
#include "dialect/request_scan.h"

enum { SPLICES_MAX = 4096 };

struct splice { /* the bytes [at, end) become `with`; ordered, not overlapping */
    uint64_t at, end;
    struct str with;
};

struct nested_splices {
    struct splice *splice;
    uint32_t n, cap; /* cap is private */
};

/*
 * Collects the splices of EDIT_STRIP, EDIT_STRIP_NULL, EDIT_FLATTEN and EDIT_ROLE of deployment `d`
 * that are for `scope` (provider/edit.h says what each means), and of the nested ones among the
 * paths `drop`, ordered by offset. Keys below the top level are compared as written, escapes and
 * all. False when the arena or SPLICES_MAX ends.
 */
MUST_CHECK bool nested_edit_make(struct nested_splices *ret, const struct request_scan *scan,
                                 const char *body, const struct snapshot *s,
                                 const struct snap_deployment *d, const struct edit_scope *scope,
                                 const struct str *drop, size_t n_drop, struct arena *a);
