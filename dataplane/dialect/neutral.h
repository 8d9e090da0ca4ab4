#pragma once

/*
 * A request for a model's next turn in no API's words (wire-formats.md E.0): turns of blocks,
 * tools, how to answer. A dialect reads its body into it and another writes its own from it, so N
 * dialects are N files.
 *
 * Texts are jstr: as written in the body they came from, and written again as they are; JSON values
 * that nobody needs to look into are `struct str`, raw. Both borrow from the body, the tape's text,
 * or the arena. What is "not given" is empty (p NULL), an empty text has p.
 */

#include "common/gateway/api.h"
#include "common/gateway/capability.h"
#include "common/json_tape.h"
#include "proto/errors.h"

enum role { ROLE_SYSTEM, ROLE_DEVELOPER, ROLE_USER, ROLE_ASSISTANT };

enum block_kind {
    BLOCK_TEXT,
    BLOCK_REFUSAL,
    BLOCK_REASONING,
    BLOCK_TOOL_CALL,
    BLOCK_TOOL_RESULT, /* in a turn of the user */
    BLOCK_IMAGE,
    BLOCK_DOCUMENT,
    BLOCK_AUDIO,
    BLOCK_OPAQUE, /* only its origin understands it */
};

enum media_source { MEDIA_BASE64, MEDIA_URL, MEDIA_FILE, MEDIA_TEXT };

enum tristate { UNSET, NO, YES };

struct block {
    struct block *next;
    uint8_t kind;     /* enum block_kind */
    uint8_t origin;   /* enum api whose words `raw`, `signature` and `id` of reasoning are in */
    uint8_t source;   /* enum media_source of image, document, audio: where `text` leads */
    bool is_custom;   /* tool call or result: of a tool that takes free text */
    bool is_error;    /* tool result */
    bool is_redacted; /* reasoning: `signature` holds all there is */
    struct jstr text; /* text, refusal, reasoning, free input of a custom call; data, URL or id of
                         media (base64 without a data: prefix, alphabet checked) */
    struct jstr id;   /* of a call, and of the call a result answers; item id of reasoning */
    struct jstr name; /* of a called tool; file name or title of a document */
    struct str cache; /* cache_control, raw; chat's prompt_cache_breakpoint is one */
    union {           /* by kind: a body may be nothing but blocks of one letter */
        struct {      /* reasoning, tool result */
            struct jstr signature;    /* reasoning: what its origin wants back unchanged */
            struct block *inner;      /* further summary parts (texts); blocks of the result */
            struct block *last_inner; /* private */
        };
        struct {                   /* tool call: one of the two */
            struct jstr arguments; /* JSON as text, as chat and Responses write it */
            struct str input;      /* the object itself, as Messages does */
        };
        struct {                    /* image, document, audio */
            struct jstr media_type; /* "image/png"; audio: "wav" */
            union {
                struct jstr detail;   /* of an image */
                struct str citations; /* of a document, as its origin writes them */
            };
        };
        struct str raw; /* opaque: the whole block */
    };
};

struct turn {
    struct turn *next;
    uint8_t role; /* enum role */
    struct jstr name, phase;
    struct block *first, *last;
};

/* Of a request, also of those it names as allowed: what is looked up among them stays cheap. */
enum { TOOLS_MOST = 2048 };

enum tool_kind { TOOL_FUNCTION, TOOL_CUSTOM, TOOL_WEB_SEARCH, TOOL_OPAQUE };

struct tool {
    struct tool *next;
    uint8_t kind;   /* enum tool_kind */
    uint8_t origin; /* enum api, of `raw` */
    uint8_t strict; /* enum tristate */
    struct jstr name, description;
    struct jstr space;   /* Responses: its namespace; `name` is then "space__name" */
    struct str schema;   /* function: JSON Schema object; empty: no parameters */
    struct str format;   /* custom: {type, syntax, definition}, flat as Responses has it */
    struct str cache;    /* cache_control, raw */
    struct str location; /* web search: user_location, flat as Messages and Responses have it */
    struct jstr context_size;
    struct jstr type; /* opaque, of API_MESSAGES */
    struct str raw;   /* the whole tool as its origin wrote it */
};

enum choice { CHOICE_UNSET, CHOICE_AUTO, CHOICE_NONE, CHOICE_REQUIRED, CHOICE_NAMED };

struct tool_choice {
    uint8_t kind; /* enum choice */
    bool is_custom;
    struct jstr name;     /* CHOICE_NAMED */
    bool only_allowed;    /* AUTO and REQUIRED: of these tools */
    struct jstr *allowed; /* their names, in the arena */
    uint32_t n_allowed;
};

enum format { FORMAT_UNSET, FORMAT_TEXT, FORMAT_JSON, FORMAT_SCHEMA };

enum thinking {
    THINKING_UNSET,
    THINKING_ON,
    THINKING_ADAPTIVE,
    THINKING_OFF,
    THINKING_BETWEEN_TOOLS
};

enum effort {
    EFFORT_UNSET,
    EFFORT_NONE,
    EFFORT_MINIMAL,
    EFFORT_LOW,
    EFFORT_MEDIUM,
    EFFORT_HIGH,
    EFFORT_XHIGH,
    EFFORT_MAX
};

enum param {
#define PARAM(id, chat, messages, responses) PARAM_##id,
#include "dialect/params.def"
#undef PARAM
    PARAMS,
};

enum echo {
#define ECHOED(id, name, otherwise) ECHO_##id,
#include "dialect/echoes.def"
#undef ECHOED
    ECHOES,
};

struct extra { /* a member no dialect knows */
    struct extra *next;
    struct jstr key;
    struct str value;
};

/* A tool that the upstream was told of in another way than the client did. Of those whose names
 * share a list only so many are noted: the hash is no secret. */
enum { RENAMED_LISTS = 512, RENAMED_IN_LIST = 16 };

struct renamed {
    struct renamed *next; /* in its list */
    uint64_t end;         /* private: the last bytes of `sent` */
    struct jstr sent;     /* its name; the target's alphabet needs no escapes */
    struct jstr original; /* what the client called it */
    uint8_t shared;       /* private: how many are in the list from here on */
    bool wraps_text;      /* takes free text; told as a function of one member (wrapped.h) */
};

struct neutral {
    struct arena *arena;
    enum api from;
    struct turn *first, *last; /* system turns stand where they stood */
    struct tool *tools, *last_tool;
    struct tool_choice choice;
    uint8_t parallel_tools; /* enum tristate */
    struct {
        uint8_t kind; /* enum format */
        uint8_t strict;
        struct jstr name, description;
        struct str schema;
    } format;
    struct {
        uint8_t thinking;    /* enum thinking */
        uint8_t effort;      /* enum effort */
        uint64_t budget;     /* tokens; 0: not given */
        struct jstr summary; /* Responses: auto, concise, detailed; Messages: display */
    } reasoning;
    uint64_t max_tokens; /* 0: not given */
    bool stream, include_usage;
    bool functions;    /* chat: tools came as the deprecated `functions`, so do calls */
    struct jstr *stop; /* in the arena */
    uint32_t n_stop;
    struct jstr user;              /* user, metadata.user_id */
    struct jstr safety_identifier; /* OpenAI's later name for it */
    struct jstr service_tier;      /* as `from` spells it */
    struct jstr previous_id;       /* previous_response_id */
    struct str param[PARAMS];      /* raw; null counts as not given */
    struct str echo[ECHOES]; /* of a Responses client: what its Response object repeats, raw */
    struct extra *extras, *last_extra;
    struct renamed **renamed; /* RENAMED_LISTS of them, by `sent`; NULL: none */
    uint32_t betas;           /* set by a writer: bits of enum messages_beta that its body needs */
    bool emulates_schema;     /* set by a writer: the answer is the input of a forced tool */
};

/* A refusal to read or write: a row of errors.def completed by `detail`. */
struct fault {
    enum client_error error;
    struct str detail; /* in the arena; names the place ("messages.3.content"), never content */
    struct str param;  /* for the envelope; may be empty */
};

/* Always false, so that readers can return it. printf-style; the text lies in the arena. */
bool fault_set(struct fault *f, struct arena *a, enum client_error error, const char *fmt, ...)
    PRINTF(4, 5);

/* New ones at the end of their list; NULL when the arena failed (sticky: callers may go on). */
struct turn *neutral_turn(struct neutral *n, enum role role);
struct block *neutral_block(struct neutral *n, struct turn *t, enum block_kind kind);
struct block *neutral_inner(struct neutral *n, struct block *of, enum block_kind kind);
struct tool *neutral_tool(struct neutral *n, enum tool_kind kind);
void neutral_extra(struct neutral *n, struct jstr key, struct str value);

/*
 * A name or id that satisfies a target's rule: at most `max` bytes of [A-Za-z0-9_-]. What already
 * does is returned as it is; anything else becomes a prefix and a hash of it: a pure function,
 * because the client replays history at any gateway. neutral_tool_name() also notes the pair for
 * the way back.
 */
struct jstr neutral_id(struct neutral *n, struct jstr id, size_t max);
struct jstr neutral_tool_name(struct neutral *n, struct jstr name, size_t max);
/* The same for a tool of free text that is told as a function. */
struct jstr neutral_wrapped_name(struct neutral *n, struct jstr name, size_t max);
/* Copies the pairs into an arena that outlives the request; false when it failed. */
bool neutral_renamed_keep(struct neutral *n, struct arena *a);
/* What the client called the tool the upstream calls `name`. */
struct jstr neutral_original_name(const struct neutral *n, struct jstr name);
/* The tool was told as a function of one text. */
bool neutral_is_wrapped(const struct neutral *n, struct jstr sent);

/*
 * Reads "data:TYPE;base64,DATA" into a block's source, media_type and text; any other URL becomes
 * MEDIA_URL. Normalises what F.14 lists. False: base64 of another alphabet.
 */
bool neutral_data_url(struct neutral *n, struct block *b, struct jstr url);

/* The session of Claude Code, which puts an object into user_id; caches are kept by it. Empty:
 * none. */
struct jstr neutral_session(const struct neutral *n, struct bufpool *pool);

/* A type as it is compared: without the escapes of some writers ("image\/png"). */
struct jstr neutral_media_type(struct neutral *n, struct jstr type);

/* The type of an image or document by the first bytes of its base64; empty when unknown. */
struct jstr media_sniff(struct jstr base64);

/* Effort by name in any API's spelling; EFFORT_UNSET when unknown. And the name. */
enum effort effort_of(struct jstr name);
struct str effort_name(enum effort e);
/* The ladder of E.0: thinking budget of an effort, effort of a budget. */
uint64_t effort_budget(enum effort e);
enum effort effort_of_budget(uint64_t tokens);

/*
 * Reasoning crosses dialects sealed: what another origin wants back (signature, item id, encrypted
 * content) in one opaque text with the gateway's prefix, which clients store and replay (E.3).
 * reasoning_open() restores origin, id and signature; false: it is not one of ours.
 */
struct jstr reasoning_seal(struct arena *a, enum api origin, struct jstr id, struct jstr signature,
                           bool is_redacted);
bool reasoning_open(struct block *b, struct jstr sealed);
