#pragma once

/*
 * One error type for the whole program (see docs/architecture.md): a class the caller can act on,
 * and a sentence for the person who must. On the hot path there is only the class.
 */

#include "common/base.h"

enum errc {
    ERRC_OK = 0,
    ERRC_NOMEM,   /* no memory: this request fails, the process lives */
    ERRC_LIMIT,   /* a bound of ours was reached (bytes, headers, depth, queue) */
    ERRC_INVALID, /* a file or a caller gave us something meaningless */
    ERRC_PROTO,   /* the peer broke its protocol; the connection is finished */
    ERRC_CLOSED,  /* the peer went away */
    ERRC_TIMEOUT,
    ERRC_SYS, /* err.sys holds errno */
};

struct err {
    enum errc code;
    int sys;       /* errno, or 0 */
    char msg[512]; /* what was tried, on what, why not; never a secret */
};

/*
 * Writes `code`, `sys` (errno or 0) and the formatted sentence to `e` (may be NULL) and returns
 * `code`, so that a failing function ends with `return err_set(...)`. With sys != 0 its text
 * follows.
 */
enum errc err_set(struct err *e, enum errc code, int sys, const char *fmt, ...) PRINTF(4, 5);

/* Puts a context in front of the sentence: "context: sentence". Returns e->code. */
enum errc err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

/* A constant name of the class ("limit", "proto" ...), for logs. */
const char *errc_name(enum errc code);
