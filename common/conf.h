#pragma once

/*
 * A YAML file as a read-only tree: every node knows its file and line, so that whatever is wrong
 * with a value can be said where it stands. YAML comes from local files only (threats D-08); rows
 * of a database come as JSON and join the tree.
 *
 * Scalars are typed as YAML 1.1 readers in Python type them: true/yes/on, null/~, 017, 0x1f, 1_000,
 * 1.5e+3; quoted text stays text, and so does 1e6 (no point) and a date.
 */

#include "common/arena.h"
#include "common/err.h"
#include "common/jw.h"

enum {
    CONF_MAX_BYTES = 1024 * 1024,
    CONF_MAX_DEPTH = 32,
    CONF_MAX_NODES = 100000, /* counted with every alias expanded */
};

/* Whose word a node is, and so what it may reach. */
enum conf_source {
    CONF_OF_FILE,
    CONF_OF_ADMIN,  /* a row that an administrator wrote */
    CONF_OF_OTHERS, /* a row of anybody else */
};

enum conf_kind { CONF_NULL, CONF_BOOL, CONF_INT, CONF_FLOAT, CONF_STR, CONF_LIST, CONF_MAP };

struct conf_node {
    enum conf_kind kind;
    enum conf_source source;
    uint32_t line;    /* from 1; 0: not of a file */
    const char *file; /* NUL-terminated, as named by whoever opened it; of a row what it is */
    struct str text;  /* CONF_STR: the text; CONF_INT, CONF_FLOAT: the number in JSON notation; else
                         as written */
    const struct conf_node *first; /* CONF_LIST, CONF_MAP: children in order; aliases share them */
    uint32_t n;                    /* children */
    uint32_t height;               /* 0: no children */
    uint32_t size;                 /* nodes in this tree, aliases expanded */
    bool truth;                    /* CONF_BOOL */
    struct str key;                /* name in the map it is a child of, or empty */
    uint32_t key_line;
};

/*
 * Reads `path` (borrowed; copied) into `a`. ERRC_INVALID "path:line: what" for a file that is no
 * such YAML, ERRC_LIMIT for one beyond the limits above, ERRC_SYS, ERRC_NOMEM. An empty file is
 * null.
 */
MUST_CHECK enum errc conf_load(const struct conf_node **ret_root, struct arena *a, const char *path,
                               struct err *e);

/* The same over bytes; `name` stands for the file in messages. */
MUST_CHECK enum errc conf_parse(const struct conf_node **ret_root, struct arena *a,
                                const char *name, struct str text, struct err *e);

/* The same of JSON; nodes have no line. A name twice in one object is refused. */
MUST_CHECK enum errc conf_parse_json(const struct conf_node **ret_root, struct arena *a,
                                     const char *name, enum conf_source source, struct str text,
                                     struct err *e);

/* Where a node stands, for people: "config.yaml:12", or the name of its row. */
struct str conf_place(struct arena *a, const struct conf_node *n);

/* Visits the children of a list or map; none of a scalar or NULL. */
#define CONF_FOREACH(node, it)                                                                     \
    for (const struct conf_node *it = (node) ? (node)->first : NULL,                               \
                                *it##_end = it ? it + (node)->n : NULL;                            \
         it != it##_end; it++)

/* The member of a map, or NULL: also when `map` is NULL or no map. */
const struct conf_node *conf_get(const struct conf_node *map, struct str key);

/* NULL, null, false, an empty list, map or text. */
bool conf_is_off(const struct conf_node *n);

/* "a boolean", "a map" ..., for messages. */
const char *conf_kind_name(enum conf_kind k);

/* Writes the tree as JSON; numbers keep their digits. */
void conf_put_json(struct jw *w, const struct conf_node *n);
struct str conf_json(struct arena *a, const struct conf_node *n);

/* What is wrong in files, in the order found; with --check all of it is shown. */
enum conf_severity { CONF_ERROR, CONF_WARNING };

struct conf_note {
    struct conf_note *next;
    enum conf_severity severity;
    struct str text; /* "file:line: what" */
};

struct conf_log { /* zeroed but for `arena` is empty */
    struct arena *arena;
    struct conf_note *first, *last;
    unsigned n_errors;
};

/* `at` names the place: the line of its key, or of the value when it has none; NULL: no place. */
void conf_note(struct conf_log *log, enum conf_severity severity, const struct conf_node *at,
               const char *fmt, ...) PRINTF(4, 5);

/*
 * Typed access. False, with *ret untouched, when `n` is NULL or null; a value that cannot be read
 * so leaves an error in `log` (may be NULL) and is false too. Text that spells the value counts as
 * it: values of the environment are text.
 */
MUST_CHECK bool conf_bool(struct conf_log *log, const struct conf_node *n, bool *ret);
MUST_CHECK bool conf_u32(struct conf_log *log, const struct conf_node *n, uint32_t *ret);
MUST_CHECK bool conf_u64(struct conf_log *log, const struct conf_node *n, uint64_t *ret);
/* A decimal times 10^scale, exact: conf_scaled(log, n, 12, &pusd) reads dollars as pico-dollars. */
MUST_CHECK bool conf_scaled(struct conf_log *log, const struct conf_node *n, int scale,
                            int64_t *ret);
/* Text, and what is written as a number or boolean where text is wanted. */
MUST_CHECK bool conf_text(struct conf_log *log, const struct conf_node *n, struct str *ret);
