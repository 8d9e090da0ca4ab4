#pragma once

/*
 * config.yaml as both planes read it: included files merged, names of the environment replaced,
 * every key judged by the settings table. What the values mean is each plane's own business. It
 * holds credentials.
 *
 *   config_file.c    files, include, os.environ/NAME, hash
 *   config_judge.c   sections, verdicts, precedence of settings
 *   config_merge.c   what rows of the database add
 *   config_entry.c   an entry of model_list with what is merged under it
 */

#include "common/conf.h"
#include "common/gateway/settings.h"

/* An environment variable by name; empty when unset. */
typedef struct str (*config_env_fn)(void *ctx, struct str name);

/* A row of the database that configures. Texts are borrowed; credentials in them are open. */
enum config_row_kind { ROW_MODEL, ROW_CREDENTIAL, ROW_SETTING };

struct config_row {
    enum config_row_kind kind;
    struct str id;       /* of a model */
    struct str name;     /* model_name, credential_name, "litellm_settings" ... */
    struct str value;    /* JSON: litellm_params, credential_values, the members of the section */
    struct str info;     /* JSON: model_info, credential_info; or empty */
    bool blocked;        /* a model */
    bool by_proxy_admin; /* a model: who wrote it; the other kinds nobody else can write */
};

struct config_file {
    struct arena arena;   /* everything below lies in it */
    struct conf_log log;  /* what is wrong, all of it */
    struct conf_log rows; /* what is wrong with rows: each of them is left out, the others go on */
    const char *path;
    struct str hash; /* hex SHA-256 of the merged file, environment not replaced */

    const struct conf_node *root;            /* merged, as written */
    const struct conf_node *value[SETTINGS]; /* of closed sections; NULL: not set */
    struct str unbuilt;                      /* keys without effect, ", " between them */
    struct str accepted;                     /* ... of which these enforce, and are accepted */
    bool is_told; /* its warnings stand in the log already: the caller saw them before */

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
/* The same with rows of the database merged into it as LiteLLM merges them. */
MUST_CHECK enum errc config_file_read_with(struct config_file *f, const char *path,
                                           const struct config_row *rows, size_t n_rows,
                                           config_env_fn env, void *ctx, struct err *e);
/* A file that was read before (borrowed) with rows merged into it, into zeroed storage; f->rows says
 * what is wrong with them. */
void config_file_merge(struct config_file *f, const struct config_file *of,
                       const struct config_row *rows, size_t n_rows);
void config_file_deinit(struct config_file *f);

/* Notes which keys have no effect. Then the first error fails (ERRC_INVALID), warnings are logged
 * unless f->is_told. */
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

/* A copy of the tree with os.environ/NAME replaced where a file says it; the tree itself without
 * any. In rows it stays as it is: config_entry_read(). */
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

/* An entry of model_list with what is merged under it. */
struct config_entry {
    const struct conf_node *own; /* litellm_params of the entry itself, as written */
    const struct conf_node *raw; /* ... with its credential's values and default_litellm_params */
    const struct conf_node *params, *info; /* os.environ/NAME replaced */
    struct config_file *file;
    bool has_env; /* the provider's variables may be looked up for it */
};

/*
 * Reads `at`, an entry of model_list. A row reaches secrets that are not its own only if a
 * proxy_admin wrote it: os.environ/NAME and the provider's variables, for names of the provider
 * table and towards that provider's own origin; false with an error in `log` where it asks for
 * more.
 */
MUST_CHECK bool config_entry_read(struct config_entry *ret, struct config_file *f,
                                  const struct conf_node *at, struct conf_log *log);

/* A config_env_fn over a struct config_entry: nothing where has_env is false. */
struct str config_entry_env(void *entry, struct str name);

/* The sum of what would be logged, to see whether it is news. */
uint32_t config_file_notes(const struct config_file *f);

/* ---- between the files of the list above ---- */

#define CONFIG_ENV STR("os.environ/")

/* config_judge.c: every section, and the rows between weir and the others. */
void config_judge_all(struct config_file *f, const struct config_row *rows, size_t n_rows);

/* config_judge.c: whether a member of a row may join its section; if not, says why in f->rows. */
MUST_CHECK bool config_takes(struct config_file *f, enum setting_section section,
                             const struct conf_node *n);

/* config_merge.c: rows into f->root and f->variables. */
void config_merge(struct config_file *f, const struct config_row *rows, size_t n_rows);

/* config_file.c: a map or list of `n` children in the arena; takes place and name of `like`. */
const struct conf_node *config_node(struct config_file *f, const struct conf_node *like,
                                    enum conf_kind kind, const struct conf_node *children,
                                    uint32_t n);
