#pragma once

/*
 * A body that goes out while it is made: a pool thread hands over piece after piece and waits until
 * the one before is with the kernel, so that no more than two are in memory however slow the
 * client.
 */

#include "api/call.h"

struct stream;

/* ---- on the pool thread ---- */

/* Begins an answer of c->headers. NULL without memory. */
struct stream *stream_new(struct call *c, struct str type);
/* Copied. False: the client is gone, or took nothing for too long. */
bool stream_write(struct stream *s, struct str piece);
/* Nothing more comes; without it the answer is not whole. */
void stream_end(struct stream *s);

/* ---- on the loop ---- */

/* Sends what lies ready. */
void stream_pump(struct stream *s);
/* The piece before is with the kernel. True: it was the last one, and the request is gone. */
bool stream_sent(struct stream *s);
/* Whoever asked is gone. True: so is the request; false: the pool thread is not done yet. */
bool stream_gone(struct stream *s);
/* The pool thread is done with the call. True: all is sent and the request is gone; false: that
 * will be so when stream_sent() or stream_gone() says it. */
bool stream_finish(struct stream *s);

struct stream *stream_free(struct stream *s);
