#pragma once

/*
 * Who a request is made for, and whether: between client/request.c, which knows connection and
 * stages, and policy/, which knows the rules.
 *
 *   admit_head       credential, address, route; inside the parser
 *   admit_request    everything else; a route of models holds from here what it took of limits
 *   admit_settle     its end, whichever: gives back and charges
 */

#include "client/request.h"

/* False: refused, with r->refusal; answered outside the parser. */
bool admit_head(struct request *r, struct str credential);
bool admit_address(struct request *r);

/* What aliases make of r->model; r->found of that. False: nobody serves it. */
bool admit_resolve(struct request *r);

/* All checks and, for inference, limits. False: the client was refused. */
bool admit_request(struct request *r);

/* The caller may use `model`, served by what was found; for what is named otherwise than in the
 * body. */
bool admit_may_use(struct request *r, struct str model, const struct snap_found *f);

/* The caller may use the deployment that was found, whatever aliases make of its group's name. */
bool admit_may_reach(struct request *r, const struct snap_found *f);

/*
 * The response whose id, taken apart, is `id` (NULL: not one of ours) may be the caller's:
 * r->previous_owner. CLIENT_ERRORS, or why not.
 */
enum client_error admit_response(struct request *r, const struct response_id *id);

/* mock_response is honoured: for the master key, and keys or teams that say so. */
bool admit_may_mock(const struct request *r);

/* The key's own headers and those of its limits, into the reply's head. `cost_nusd`: of this
 * request, 0 while it is not known. */
void admit_headers(struct request *r, int64_t cost_nusd);

/* What LiteLLM calls the session of its row: of the headers, else of the body; empty: none was
 * named. */
struct str admit_session(const struct request *r);

/* Whose it is, into the record, and what the link charges if this worker dies. */
void admit_record(struct request *r, struct inflight *slot);

/* Nothing more will be used: tokens settled by `usage` (NULL: none), parallel slots given back.
 * May be called again. */
void admit_settle(struct request *r, const struct usage *usage);
