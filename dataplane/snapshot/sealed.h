#pragma once

/* Files in memory that nobody can change any more: what the link builds and others map. Link only.
 */

#include "common/err.h"

/* An empty memfd, the caller's, close-on-exec. `what` names it, also in reasons. ERRC_SYS. */
MUST_CHECK enum errc sealed_open(int *ret_fd, const char *what, struct err *e);

/* Appends. ERRC_SYS. */
MUST_CHECK enum errc sealed_write(int fd, const void *p, size_t n, const char *what, struct err *e);

/* From here on its bytes and its size stay. There must be no writable mapping of it. ERRC_SYS. */
MUST_CHECK enum errc sealed_finish(int fd, const char *what, struct err *e);
