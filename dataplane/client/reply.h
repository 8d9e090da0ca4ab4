#pragma once

/* Writing replies: status line, headers, local answers, errors. Everything is built in the worker's
 * scratch and sent at once. */

#include "client/request.h"

struct error_row {
    uint16_t status;
    struct str type, code, message, param;
};

extern const struct error_row error_rows[CLIENT_ERRORS];

/* Starts a head in cx->out: status line, date, version, request id. More is added, then
 * reply_head_end(). */
void reply_head(struct request *r, unsigned status, struct str content_type);
void reply_header(struct request *r, struct str name, struct str value);
void reply_header_u64(struct request *r, struct str name, uint64_t value);

/* The same by a name known at compile time, REPLY_NAME("..."), which is copied without a look at
 * its length. */
struct reply_name {
    char text[80]; /* ": " at the end of it */
    uint8_t n;
};
#define REPLY_NAME(name)                                                                           \
    {                                                                                              \
        name ": ", sizeof(name ": ") - 1                                                           \
    }
void reply_named_u64(struct request *r, const struct reply_name *name, uint64_t value);

/* Milliseconds with three decimals. */
void reply_header_ms(struct request *r, struct str name, uint64_t ns);

/* Ends the head: Content-Length `n`, or chunked (closing for HTTP/1.0) when UINT64_MAX. */
void reply_head_end(struct request *r, uint64_t n);

/* Sends what lies in cx->out and empties it; false when the connection broke. */
bool reply_flush(struct request *r);

/* One piece of a chunked body: [*from, cx->out.n) of the scratch becomes a chunk; see
 * reply_chunk_begin(). */
size_t reply_chunk_begin(struct request *r);
void reply_chunk_end(struct request *r, size_t from, bool last);

/* A whole local answer; finishes the connection's request and writes the access record. */
void reply_json(struct request *r, unsigned status, struct str json);
void reply_text(struct request *r, unsigned status, struct str content_type, struct str text);

/* A whole error answer in the client's envelope, with `retry_after_s` when not 0. */
void reply_error(struct request *r, const struct error_facts *f, struct str code,
                 uint32_t retry_after_s);

/* Facts of a row, completed by `detail` (may be empty). */
struct error_facts reply_facts(struct request *r, enum client_error error, struct str detail);
