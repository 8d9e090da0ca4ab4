#pragma once

/*
 * What one upstream is sent: request line, headers, and the client's body with the edits its
 * deployment wants.
 */

#include "common/gateway/capability.h"

#include "client/request.h"

/* The deployment's model with what a wildcard captured put in; in the arena. */
struct str upstream_request_model(struct request *r, const struct snap_deployment *d);

/* "." and "..": part of a path they would name another path. */
static inline bool segment_is_dots(struct str segment)
{
    return str_eq(segment, STR(".")) || str_eq(segment, STR(".."));
}

/* The API r->deployment is spoken to in for this request; API_COUNT: none. */
enum api upstream_request_api(struct request *r);

/* What the writer of a translated request must know of who will read it. */
struct upstream_model upstream_request_reader(struct request *r);

/* The deployment's credential, to be masked in what the upstream says (threats U-11). */
struct str upstream_request_secret(const struct request *r);

/* r->upstream_model as a JSON string; in the arena. */
struct str upstream_request_quoted_model(struct request *r);

/*
 * The edits r->deployment wants on a body of `api`, scanned without fault: the client's own, or on
 * its way through translation the one before (`api` the client's: nothing of the upstream's is
 * added) and the one after.
 */
enum body_edit_result upstream_request_edit(struct request *r, struct body_edit *b, enum api api,
                                            const struct request_scan *scan, struct str body);

/* Refuses the request for parameters, which stand as in body_edit.refused. */
void upstream_request_unsupported(struct request *r, struct str params);

/*
 * Builds head and body; false when memory ended. *ret_piece lies in the arena, and what it points
 * to in r->head, the client's body and the arena, until the attempt ends.
 */
MUST_CHECK bool upstream_request_build(struct request *r, const struct body_edit *b,
                                       struct upconn_buf **ret_piece, unsigned *ret_n);

/* Appends to r->head; without memory r->out_failed is set. An empty value makes no header. */
void upstream_request_put(struct request *r, struct str s);
void upstream_request_put_header(struct request *r, struct str name, struct str value);
