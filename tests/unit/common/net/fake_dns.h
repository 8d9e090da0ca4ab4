#pragma once

/* A name server on the loop of the test: answers every name alike, as told. */

#include <uv.h>

#include "common/base.h"

enum fake_dns_mode { FAKE_DNS_ANSWER, FAKE_DNS_SILENT, FAKE_DNS_NXDOMAIN };

struct fake_dns {
    uv_poll_t poll;
    int fd;
    char server[32]; /* "127.0.0.1:port" */
    enum fake_dns_mode mode;
    const char *const *v4; /* NULL at the end; NULL: none */
    const char *const *v6;
    uint32_t ttl_s;
    unsigned n_v4, n_v6; /* queries seen */
};

void fake_dns_open(struct fake_dns *d, uv_loop_t *loop);
void fake_dns_close(struct fake_dns *d);
