#pragma once

/* A control plane's answer, from bytes that may hold anything. Pure. */

#include "common/arena.h"
#include "common/err.h"
#include "proto/weir.pb-c.h"

enum {
    REPLY_MAX = 16 << 20,   /* bytes; a page is 512 KiB unless one entity is larger */
    REPLY_ARENA = 96 << 20, /* what a reply may take unpacked */
    REPLY_SESSION_MAX = 64,
    REPLY_CURSOR_MAX = 64 << 10,
};

/*
 * The reply lies in the arena (at least REPLY_ARENA) with all its members. ERRC_PROTO: it is no
 * reply, or one that makes no sense whatever was asked; ERRC_LIMIT: unpacked it is too large.
 */
MUST_CHECK enum errc reply_read(const Weir__Reply **ret_r, struct str bytes, struct arena *a,
                                struct err *e);
