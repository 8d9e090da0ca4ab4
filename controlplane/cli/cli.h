#pragma once

/*
 * weirctl: the management API for people and scripts.
 *
 *   main.c       options, help, which command
 *   command.c    commands.def: a command's arguments become one request, its reply a table
 *   members.c    name=value, typed by the fields of the route (api/fields)
 *   client.c     HTTP; talk.c: a request and what became of it
 *   show.c       tables
 *   apply.c      a file of objects, compared with what there is (diff.c), then made so
 *   verify.c     spend verify; invoice.c: spend invoice; why.c
 *   complete.c   completion for bash
 */

#include <yyjson.h>

#include "common/arena.h"

#include "cli/client.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_REFUSED = 1,     /* the answer was an error */
    CLI_USAGE = 2,       /* the command line or the file is wrong */
    CLI_UNREACHABLE = 3, /* no answer */
    CLI_DIFFERS = 4,     /* apply --dry-run: there is something to do; spend: something differs */
};

struct cli {
    struct arena arena;
    struct client *client;
    bool json;           /* for machines */
    bool all;            /* all rows of a list */
    bool yes;            /* apply: do not ask */
    bool dry_run;        /* apply: only say */
    bool force;          /* apply: also send what cannot be compared */
    bool watch;          /* again and again */
    const char *file;    /* apply -f */
    const char *columns; /* spend invoice */
};

/* One sentence on standard error; gives `code`. */
enum cli_exit cli_fail(enum cli_exit code, const char *fmt, ...) PRINTF(2, 3);

/* What an error reply says, and what can be done about it; gives CLI_REFUSED. */
enum cli_exit cli_refused(struct cli *c, const struct client_reply *r);

/* A request whose reply is JSON; *ret_doc is freed by the caller. The failure is told. */
MUST_CHECK enum cli_exit cli_call(struct cli *c, const char *method, struct str path,
                                  const yyjson_mut_doc *body, yyjson_doc **ret_doc);

/* The same, but an answer of 404 is no failure: *ret_doc is NULL. */
MUST_CHECK enum cli_exit cli_find(struct cli *c, const char *method, struct str path,
                                  const yyjson_mut_doc *body, yyjson_doc **ret_doc);

/* A text; empty, never NULL, when it is none. */
static inline struct str cli_text(yyjson_val *v)
{
    return yyjson_is_str(v) ? (struct str){yyjson_get_str(v), yyjson_get_len(v)} : STR("");
}

/* "a/0/b" of a document; NULL: not there. An empty path is the value itself. */
yyjson_val *cli_at(yyjson_val *v, const char *path);

/* Its JSON text; `pretty` on several lines. */
struct str cli_json(struct arena *a, const yyjson_val *v, bool pretty);

/* apply.c, complete.c */
enum cli_exit cli_apply(struct cli *c);
void cli_complete_bash(FILE *f);
