#pragma once

/*
 * JSON read in passing: a resumable scanner that finds the members somebody watches and skips the
 * rest, without a tree, a copy or an allocation. Bytes in, members out; linear in the input; at
 * most JSON_SCAN_DEPTH levels.
 *
 * What is watched is a static tree of json_watch nodes that mirrors the document. Containers on a
 * watched path are checked strictly (RFC 8259 structure); what lies below them unwatched is only
 * bracket- and quote-matched, because it passes to somebody who reads it in full.
 */

#include "common/json_string.h"

enum { JSON_SCAN_DEPTH = 64, JSON_WATCH_DEPTH = 8, JSON_KEY_MAX = 40, JSON_TEXT_MAX = 512 };

struct json_watch {
    struct str key; /* of this member; unused in the root and in `elements` */
    uint16_t id;    /* reported with it; 0: only a way to its children */
    uint16_t n_children;
    const struct json_watch *children; /* members, when the value is an object */
    const struct json_watch *elements; /* each element, when the value is an array */
    const uint8_t *tags; /* JSON_WATCH_TAG() of each child, JSON_WATCH_TAGS(n_children) of them, to
                            find one among many sooner; or NULL */
};

#define JSON_WATCH_TAGS(n) (((n) + 15u) / 16 * 16)
/* Of a literal that is not empty: a byte few names share. */
#define JSON_WATCH_TAG(lit) json_tag(lit[0], lit[sizeof(lit) - 2], sizeof(lit) - 1)
#define json_tag(first, last, n)                                                                   \
    ((uint8_t)((unsigned char)(first) ^ (unsigned char)(last) << 4 ^ (n) << 3))
#define JSON_WATCH_CHILDREN(array) .children = (array), .n_children = ARRAY_LEN(array)

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

/* A member (or array element) whose value is complete. Offsets count from the first byte fed. */
struct json_member {
    uint16_t id;
    uint8_t type;             /* enum json_type */
    uint8_t depth;            /* 1: member of the root */
    bool key_escaped;         /* the key has escapes; it is watched by what it means */
    uint32_t index;           /* among its siblings, from 0 */
    uint64_t object_at;       /* of the bracket that holds it */
    uint64_t prev_end;        /* end of the sibling before it; meaningless at index 0 */
    uint64_t key_at, key_end; /* with quotes; equal for an element */
    uint64_t at, end;         /* of the value */
    struct str key;           /* as written, without quotes; empty when longer than JSON_KEY_MAX */
    struct str text; /* a scalar as written (strings with quotes), borrowed for the call; empty when
                        longer than JSON_TEXT_MAX */
};

typedef void (*json_member_fn)(void *ctx, const struct json_member *m);

enum json_scan_state { JSON_SCAN_MORE, JSON_SCAN_DONE, JSON_SCAN_BAD, JSON_SCAN_DEEP };

struct json_scan {
    uint64_t
        pos; /* offset of the next byte; a caller that skips framing between feeds may move it on */
    bool all_members; /* report every member of the root, unwatched ones with id 0 */
    struct str word;  /* a string or key that sets word_seen below the root; empty: none */
    bool word_seen;
    /* private */
    json_member_fn fn;
    void *ctx;
    uint64_t is_object; /* bit per open bracket */
    unsigned depth, skip;
    uint8_t state;
    uint8_t literal_at;
    uint8_t word_at; /* 1 + bytes of `word` that the feeds before ended with, 0: no match */
    bool in_key;
    size_t text_n; /* of the token so far; text[] holds its first JSON_TEXT_MAX */
    struct json_level {
        const struct json_watch *node;   /* of the container */
        const struct json_watch *member; /* of the value being read, NULL: unwatched */
        uint64_t object_at, prev_end, key_at, key_end, at;
        uint32_t index;
        uint8_t type;
        uint8_t key_n; /* copied into key[] */
        bool key_escaped;
    } level[JSON_WATCH_DEPTH];
    char key[JSON_WATCH_DEPTH][JSON_KEY_MAX];
    char text[JSON_TEXT_MAX];
};

/* `root` describes the document (static storage); fn runs inside json_scan_feed(). */
void json_scan_init(struct json_scan *s, const struct json_watch *root, json_member_fn fn,
                    void *ctx);

/*
 * Reads `n` more bytes. MORE: the document is not complete. DONE: it is, and only blanks followed.
 * BAD: not JSON where it is watched, or bytes behind the end. DEEP: deeper than JSON_SCAN_DEPTH.
 * BAD and DEEP are final.
 */
enum json_scan_state json_scan_feed(struct json_scan *s, const char *p, size_t n);

/* What the document is; meaningful once its first byte was fed. */
static inline enum json_type json_scan_root(const struct json_scan *s)
{
    return (enum json_type)s->level[0].type;
}

/* A JSON string literal (with quotes) without escapes equals `s`; a convenience for member.text. */
static inline bool json_text_is(struct str text, struct str s)
{
    return text.n == s.n + 2 && memcmp(text.p + 1, s.p, s.n) == 0;
}

/* The inside of a string literal, as written. */
static inline struct str json_text_inner(struct str text)
{
    return text.n >= 2 && text.p[0] == '"' ? (struct str){text.p + 1, text.n - 2} : (struct str){0};
}

/* RFC 8259 section 6. */
bool json_is_number(struct str s);
