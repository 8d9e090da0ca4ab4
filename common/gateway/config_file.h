#pragma once

/*
 * config.yaml as both planes read it: included files merged, names of the environment replaced,
 * every key judged by the settings table. What the values mean is each plane's own business. It
 * holds credentials.
 *
 *   config_file.c    files, include, os.environ/NAME, hash
 *   config_judge.c   sections, verdicts, precedence of settings
 */

#include "common/conf.h"
#include "common/gateway/settings.h"

/* An environment variable by name; empty when unset. */
typedef struct str (*config_env_fn)(void *ctx, struct str name);

struct config_file {
    struct arena arena;  /* everything below lies in it */
    struct conf_log log; /* what is wrong, all of it */
    const char *path;
    struct str hash; /* hex SHA-256 of the merged file, environment not replaced */

    const struct conf_node *root;            /* merged, as written */
    const struct conf_node *value[SETTINGS]; /* of closed sections; NULL: not set */
    struct str unbuilt;                      /* keys without effect, ", " between them */
    struct str accepted;                     /* ... of which these enforce, and are accepted */

    /* private */
    config_env_fn process_env;
    void *process_ctx;
    const struct conf_node *variables; /* environment_variables */
};

/*
 * Reads the file at `path` and everything it includes into zeroed storage, and judges its sections.
 * `env` looks up the process environment (config_environ for the real one), `ctx` is its own. What
 * is wrong with the content stands in f->log: with errors there it must not be served. Fails only
 * with ERRC_NOMEM, or when a file cannot be read as YAML (ERRC_INVALID, ERRC_LIMIT, ERRC_SYS with
 * file and line). config_file_deinit() in any case.
 */
MUST_CHECK enum errc config_file_read(struct config_file *f, const char *path, config_env_fn env,
                                      void *ctx, struct err *e);
void config_file_deinit(struct config_file *f);

/* Notes which keys have no effect. Then the first error fails (ERRC_INVALID), warnings are logged.
 */
void config_file_mention_unbuilt(struct config_file *f);
MUST_CHECK enum errc config_file_verdict(const struct config_file *f, struct err *e);

/* The process environment, for config_file_read(). */
struct str config_environ(void *ctx, struct str name);

/* ---- settings, resolved: file, environment, default of the table ---- */
struct str config_text(const struct config_file *f, enum setting_id id);
bool config_bool(const struct config_file *f, enum setting_id id);
uint32_t config_u32(const struct config_file *f, enum setting_id id);
uint32_t config_ms(const struct config_file *f, enum setting_id id);
/* The first of them that is set in the file or the environment, else the last one: the one whose
 * default holds may therefore stand twice. */
enum setting_id config_first(const struct config_file *f, const enum setting_id *ids, size_t n);
#define CONFIG_FIRST(f, ...)                                                                       \
    config_first((f), (const enum setting_id[]){__VA_ARGS__},                                      \
                 ARRAY_LEN(((const enum setting_id[]){__VA_ARGS__})))

struct str config_file_master_key(const struct config_file *f); /* empty: none */

/* ---- for those who give the values their meaning ---- */

/* An entry of environment_variables, else the process's; empty when unset. A config_env_fn over a
 * struct config_file. */
struct str config_env(void *f, struct str name);

/* A copy of the tree with os.environ/NAME replaced; the tree itself without any. */
const struct conf_node *config_resolve(struct config_file *f, const struct conf_node *n);

/* A map with the members of `own` and those of `under` that it lacks; either may be NULL. */
const struct conf_node *config_under(struct config_file *f, const struct conf_node *own,
                                     const struct conf_node *under);

/* Judges a map by the rows of its section; with `keep` gives honoured values to f->value. */
void config_judge(struct config_file *f, enum setting_section section, const struct conf_node *map,
                  struct conf_log *log, bool keep);

/* Seconds as milliseconds, 0 when not given or 0. */
uint32_t config_node_ms(const struct conf_node *n);

/* The id of a deployment that is given none: of its model's name and its parameters as written, so
 * that a new key in the environment keeps it. */
struct str config_deployment_id(struct config_file *f, struct str model_name,
                                const struct conf_node *raw_params, struct str organization);

/* Hex SHA-256 of `text`. */
struct str config_sha256(struct arena *a, struct str text);

/* config_judge.c, for config_file_read(): every section. */
void config_judge_all(struct config_file *f);
