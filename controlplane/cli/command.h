#pragma once

/* commands.def: arguments become a request, the reply a table. */

#include "api/fields.h"
#include "cli/cli.h"

enum take { TAKE_NONE, TAKE_ONE, TAKE_MANY, TAKE_PATH };

struct command {
    struct str group, verb;
    const char *method, *path;
    enum take take;
    const char *member, *preset, *result, *columns, *sentence;
};

struct command_group {
    struct str name;
    const char *sentence;
};

size_t command_count(void);
const struct command *command_at(size_t i);
size_t command_group_count(void);
const struct command_group *command_group_at(size_t i);

const struct command_group *command_group_find(struct str name);
/* A group that is one command (its verb is empty) has that; `verb` empty: "list". NULL: none. */
const struct command *command_find(struct str group, struct str verb);

/* Members that may be given as name=value, one after the other from a zeroed walk; NULL: no more.
 */
const struct field *command_field(const struct command *cmd, struct field_walk *w);

void command_help(FILE *f, const struct command *cmd);

/* Asks, and leaves the answer to the caller. */
MUST_CHECK enum cli_exit command_ask(struct cli *c, const struct command *cmd, char *const *args,
                                     int n_args, yyjson_doc **ret_doc);

enum cli_exit command_run(struct cli *c, const struct command *cmd, char *const *args, int n_args);

/* verify.c, invoice.c, why.c: commands that are more than a request. */
enum cli_exit cli_verify(struct cli *c, const struct command *cmd, char *const *args, int n_args);
enum cli_exit cli_invoice(struct cli *c, const struct command *cmd, char *const *args, int n_args);
enum cli_exit cli_why(struct cli *c, const struct command *cmd, char *const *args, int n_args);
