#pragma once

/*
 * What a reply says about itself, read in passing: usage in every provider's spelling, the model
 * name to restamp, the response id, errors inside a 200, how much text went by. One watch tree for
 * all dialects: their names do not collide. Works on a whole reply and on each event of a stream;
 * counters are cumulative, the last value wins (wire-formats.md A.8, A.9, B.8, B.9, C.5, C.6;
 * F.31). Pure.
 */

#include "common/gateway/api.h"
#include "common/gateway/usage.h"
#include "common/json_scan.h"
#include "common/jstr.h"

/* Counters as the providers spell them, before they are made disjoint. */
enum usage_count {
    UC_PROMPT,     /* prompt_tokens, input_tokens */
    UC_COMPLETION, /* completion_tokens, output_tokens */
    UC_TOTAL,
    UC_CACHED,         /* inside the prompt: cached_tokens, prompt_cache_hit_tokens */
    UC_CACHE_READ,     /* cache_read_input_tokens: beside the input (Anthropic) */
    UC_CACHE_CREATION, /* cache_creation_input_tokens: beside the input; 5 minutes and 1 hour
                          together */
    UC_CACHE_CREATION_5M,
    UC_CACHE_CREATION_1H,
    UC_CACHE_WRITTEN, /* inside the prompt: cache_write_tokens, cache_creation_tokens */
    UC_AUDIO_IN,
    UC_IMAGE_IN,
    UC_REASONING,
    UC_AUDIO_OUT,
    UC_IMAGE_OUT,
    UC_WEB_SEARCHES,
    USAGE_COUNTS,
};

enum { REPLY_ID_MAX = 128 };

struct span {
    uint64_t at, end; /* equal: none */
};

struct reply_scan {
    struct json_scan json;
    /* of the document being read */
    struct span model, id;           /* value spans, with quotes */
    struct span error;               /* a truthy error member */
    bool usage_object;               /* usage is there and no null */
    bool choice_seen, choices_empty; /* choices holds one; is there and holds none */
    bool terminal; /* finish_reason, stop_reason, message_stop, response.completed and the like */
    bool failed;   /* response.failed, or an error */
    /* of all documents */
    uint64_t count[USAGE_COUNTS];
    uint32_t counted;       /* bits of enum usage_count */
    uint8_t tier;           /* enum usage_tier */
    bool finished;          /* some complete event was terminal; kept by the relay */
    uint64_t next_sequence; /* after the last sequence_number of a Responses stream */
    uint64_t text_bytes;    /* of generated text, arguments and reasoning, escaped */
    uint16_t response_id_n;
    char response_id[REPLY_ID_MAX]; /* the first one seen */
};

void reply_scan_init(struct reply_scan *r);

/* A new document (reply or event) begins. */
void reply_scan_begin(struct reply_scan *r);

/* Reads more of the document; JSON_SCAN_BAD is no reason to stop a relay. */
enum json_scan_state reply_scan_feed(struct reply_scan *r, const char *p, size_t n);

/*
 * For those who read replies themselves and keep here what the meter wants: the value of a "usage"
 * member (counters overwrite), the tier that served it, the id of the response (the first one
 * holds).
 */
void reply_scan_usage(struct reply_scan *r, struct str usage_json);
void reply_scan_tier(struct reply_scan *r, struct jstr name);
void reply_scan_id(struct reply_scan *r, struct jstr id);

/* Offset of the model name or id being read, of which the bytes fed so far hold the beginning;
 * UINT64_MAX: none. */
uint64_t reply_scan_open(struct reply_scan *r);

/* The counters as disjoint buckets, by the dialect's way of counting. `u->seen` tells whether there
 * were any. */
void reply_usage(const struct reply_scan *r, enum dialect dialect, struct usage *u);
