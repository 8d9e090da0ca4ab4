#pragma once

/*
 * Answers. The first one given counts; a refusal undoes what the handler wrote.
 *
 * LiteLLM has two envelopes and several ways into them; a route's row says which is its own. What
 * a handler says is always one of four:
 *
 *   refuse          a text in an object: {"detail": {"error": text}}, or its print in Python
 *   refuse_message  the same as "message"
 *   refuse_text     a text: {"detail": text}, or the text
 *   refuse_as       type and param of its own: the first envelope, whatever the route's
 */

#include "api/call.h"

void reply(struct call *c, const yyjson_mut_val *value);
void reply_status(struct call *c, unsigned status, const yyjson_mut_val *value);
/* Anything but JSON; `body` is borrowed. */
void reply_text(struct call *c, struct str type, struct str body);
/* JSON that the database wrote; copied, for rows end before an answer is sent. */
void reply_json(struct call *c, struct str json);

void refuse(struct call *c, unsigned status, const char *fmt, ...) PRINTF(3, 4);
void refuse_message(struct call *c, unsigned status, const char *fmt, ...) PRINTF(3, 4);
void refuse_text(struct call *c, unsigned status, const char *fmt, ...) PRINTF(3, 4);
void refuse_as(struct call *c, unsigned status, const char *type, const char *param,
               const char *fmt, ...) PRINTF(5, 6);

/* 422 with pydantic's list of errors (an array). */
void refuse_invalid(struct call *c, const yyjson_mut_val *errors);

/* As the route's gate refuses: for handlers that narrow it. */
void refuse_gate(struct call *c);

/* The text of the refusal given, for answers about many objects; then it can be taken back. */
struct str refusal_text(const struct call *c);
void refusal_clear(struct call *c);

/* Whatever was answered before: the database's fault, or ours. */
void reply_fault(struct call *c, enum db_fault fault);

/* `s` as Python prints it: 's', or "s" where it holds a single quote. */
struct str python_repr(struct arena *a, struct str s);
/* A float as Python prints it: 1.0, 0.25, 1e-07. */
struct str python_float(struct arena *a, double d);
/* A list as Python prints it: ['a', 'b']. */
struct str python_list(struct store *s, const yyjson_mut_val *list);
