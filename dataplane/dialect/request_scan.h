#pragma once

/*
 * The top level of a request body, read as it arrives: which members are there, where they lie, and
 * the few values the gateway decides by. Pure: bytes in, spans out. Refuses a repeated key, which
 * two readers might take differently (threats D-03, wire-formats.md F.15).
 */

#include "common/arena.h"
#include "common/gateway/api.h"
#include "common/json_scan.h"

enum field {
    FIELD_NONE,
#define FIELD(name, id, what, apis) FIELD_##id,
#include "common/gateway/fields.def"
#undef FIELD
    /* below the top level */
    FIELD_INCLUDE_USAGE,
    FIELD_METADATA_USER_ID,
    FIELD_METADATA_TAGS,
    FIELD_LITELLM_METADATA_USER,
    FIELD_LITELLM_METADATA_TAGS,
    FIELD_METADATA_SESSION_ID, /* of both */
    FIELD_METADATA_TRACE_ID,
    FIELDS,
};

enum field_what { FIELD_READ, FIELD_OWN, FIELD_REFUSE, FIELD_TRUSTED };

struct member { /* of the top level, by offsets into the body */
    uint64_t key_at, key_end, at, end, prev_end;
    uint16_t field; /* enum field, FIELD_NONE: not in the table */
    uint8_t type;   /* enum json_type */
    bool key_escaped;
};

enum { MEMBERS_MAX = 1024 };

struct request_scan {
    struct json_scan json;
    struct arena *arena;
    struct member *member;
    uint32_t n_members, cap;
    uint16_t at[FIELDS]; /* 1 + index into member[], 0: not sent */
    bool stream, include_usage, has_include_usage;
    bool bad_value;     /* stream or include_usage is no boolean; model holds a control character */
    bool repeated;      /* a member of the table, or one that is read below it, came twice */
    bool too_many;      /* more than MEMBERS_MAX, or no memory */
    struct str model;   /* decoded; in the arena; empty: absent, or not a string */
    struct str user;    /* end user: user, else litellm_metadata.user, metadata.user_id,
                           safety_identifier */
    uint8_t user_from;  /* private */
    struct str session; /* litellm_session_id, else litellm_trace_id, else session_id or trace_id of
                           metadata or litellm_metadata */
    uint8_t session_from;   /* private */
    bool has_metadata_user; /* private */
    uint64_t include_usage_at, include_usage_end;
    uint64_t tags_at, tags_end; /* tags of litellm_metadata, else of metadata; equal: none */
    bool has_metadata_tags;     /* those of metadata were sent */
    bool tags_ours;             /* private: tags_at is that of litellm_metadata */
};

enum request_scan_result {
    REQUEST_SCAN_MORE,
    REQUEST_SCAN_DONE,
    REQUEST_SCAN_BAD,
    REQUEST_SCAN_DEEP
};

void request_scan_init(struct request_scan *s, struct arena *a);

/*
 * Reads the next `n` bytes of the body. The spans are offsets from the first byte of it. BAD also
 * when the document is no object. Strings longer than JSON_TEXT_MAX count as not sent.
 */
enum request_scan_result request_scan_feed(struct request_scan *s, const char *p, size_t n);

/* The name of a member: borrowed from `body` or, where it has escapes, decoded into the arena. */
struct str member_name(const struct member *m, const char *body, struct arena *a);

/* Some name stands twice at the top level. `body` is all of it. */
bool request_scan_repeats(const struct request_scan *s, const char *body);

/* A member of the table, or NULL when it was not sent. */
static inline const struct member *request_member(const struct request_scan *s, enum field f)
{
    return s->at[f] ? &s->member[s->at[f] - 1] : NULL;
}

/* Name, treatment and scope of a row of fields.def. */
struct str field_name(enum field f);
enum field_what field_what(enum field f, enum api api);
