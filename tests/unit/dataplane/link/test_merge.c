/* Rows of the database merged into config.yaml (tests/cases/config/merge.txt). */

#include <sys/stat.h>
#include <unistd.h>

#include "link/config.h"
#include "test.h"

enum { MAX_ROWS = 20, TEXT_MAX = 8 * 1024 };

static char source_dir[1024];
static char work_dir[] = "/tmp/weir-test-merge-XXXXXX";

static int make_work_dir(void **state)
{
    (void)state;
    assert_non_null(getcwd(source_dir, sizeof source_dir));
    assert_non_null(mkdtemp(work_dir));
    return chdir(work_dir);
}

static int remove_work_dir(void **state)
{
    (void)state;
    (void)unlink("config.yaml"); /* may not be there */
    assert_int_equal(chdir(source_dir), 0);
    return rmdir(work_dir);
}

/*
 *   == name
 *   $ NAME=value                          a variable of the process
 *   config.yaml, as it is
 *   ++ model ID admin|other [blocked] NAME     then a line litellm_params, one model_info or blank
 *   ++ credential NAME, ++ setting NAME        then a line of JSON
 *   ? section.key                         a value asked for
 *   -- what came of it, a line each
 */
struct a_case {
    char name[200];
    char text[TEXT_MAX]; /* rows and questions borrow from it */
    size_t used;
    struct config_row rows[MAX_ROWS];
    size_t n_rows;
    struct str asked[MAX_ROWS];
    size_t n_asked;
    char expected[TEXT_MAX], got[TEXT_MAX];
};

static struct str keep(struct a_case *c, const char *text)
{
    size_t n = strcspn(text, "\n");
    char *at = c->text + c->used;

    assert_true(c->used + n < sizeof c->text);
    memcpy(at, text, n);
    c->used += n;
    return (struct str){at, n};
}

static void append(char *to, const char *fmt, ...) PRINTF(2, 3);

static void append(char *to, const char *fmt, ...)
{
    size_t n = strlen(to);
    va_list ap;

    va_start(ap, fmt);
    assert_true((size_t)vsnprintf(to + n, TEXT_MAX - n, fmt, ap) < TEXT_MAX - n);
    va_end(ap);
}

static void tell_deployment(struct a_case *c, const struct config *cf,
                            const struct config_deployment *d)
{
    const struct config_origin *o = d->origin == SNAP_NONE ? NULL : &cf->origins[d->origin];
    bool has_key = str_find(d->target.headers, STR("sk-")) != SIZE_MAX;

    append(c->got, "model " STR_FMT " id=" STR_FMT " " STR_FMT "/" STR_FMT " @ " STR_FMT "%s%s%s\n",
           STR_ARG(d->group), STR_ARG(d->id), STR_ARG(d->target.provider), STR_ARG(d->target.model),
           STR_ARG(d->target.api_base), has_key ? " key" : "",
           d->flags & SNAP_NO_KEY ? " no-key" : "",
           o && o->flags & SNAP_ORIGIN_PRIVATE_OK ? " private" : "");
}

static void tell(struct a_case *c)
{
    AUTO_FREE(config) struct config *cf = NULL;
    struct err e = {0};

    if (config_read_with(&cf, "config.yaml", c->rows, c->n_rows, config_environ, NULL, &e)) {
        append(c->got, "error %s\n", e.msg);
        return;
    }
    for (uint32_t i = 0; i < cf->n_deployments; i++)
        tell_deployment(c, cf, &cf->deployments[i]);
    for (size_t i = 0; i < c->n_asked; i++) {
        struct str section, key;
        assert_true(str_cut(c->asked[i], '.', &section, &key));
        const struct conf_node *n = conf_get(conf_get(cf->file.root, section), key);
        struct arena *a = &cf->file.arena;
        if (n)
            append(c->got, STR_FMT " = " STR_FMT " (" STR_FMT ")\n", STR_ARG(c->asked[i]),
                   STR_ARG(conf_json(a, n)), STR_ARG(conf_place(a, n)));
        else
            append(c->got, STR_FMT " is not set\n", STR_ARG(c->asked[i]));
    }
    for (const struct conf_note *n = cf->file.log.first; n; n = n->next)
        if (n->severity == CONF_ERROR)
            append(c->got, "refused " STR_FMT "\n", STR_ARG(n->text));
    for (const struct conf_note *n = cf->file.rows.first; n; n = n->next)
        append(c->got, "%s " STR_FMT "\n", n->severity == CONF_ERROR ? "error" : "warning",
               STR_ARG(n->text));
}

static struct config_row *row_begin(struct a_case *c, const char *line)
{
    static const char *const kinds[] = {
        [ROW_MODEL] = "model ", [ROW_CREDENTIAL] = "credential ", [ROW_SETTING] = "setting "};
    struct str words = keep(c, line), word;
    struct config_row *r = &c->rows[c->n_rows++];

    assert_true(c->n_rows <= MAX_ROWS);
    *r = (struct config_row){0};
    while (!str_starts(words, str_of(kinds[r->kind])))
        assert_true(++r->kind < ARRAY_LEN(kinds));
    words = str_from(words, strlen(kinds[r->kind]));
    if (r->kind == ROW_MODEL) {
        assert_true(str_cut(words, ' ', &r->id, &words));
        assert_true(str_cut(words, ' ', &word, &words));
        r->by_proxy_admin = str_eq(word, STR("admin"));
        if (str_starts(words, STR("blocked "))) {
            r->blocked = true;
            (void)str_cut(words, ' ', &word, &words);
        }
    }
    r->name = words;
    return r;
}

static bool case_holds(struct a_case *c)
{
    if (!c->name[0])
        return true;
    tell(c);
    if (strcmp(c->got, c->expected) == 0)
        return true;
    print_error("%s\n--- got\n%s--- expected\n%s\n", c->name, c->got, c->expected);
    return false;
}

static void set_variable(const char *line)
{
    char assignment[300];

    (void)snprintf(assignment, sizeof assignment, "%.*s", (int)strcspn(line, "\n"), line);
    char *value = strchr(assignment, '=');
    assert_non_null(value);
    *value = '\0';
    assert_int_equal(setenv(assignment, value + 1, 1), 0);
}

static void test_rows_join_the_file_as_litellm_merges_them(void **state)
{
    static struct a_case c;
    char line[1200], path[1200];
    unsigned n = 0, wrong = 0;

    (void)state;
    (void)snprintf(path, sizeof path, "%s/tests/cases/config/merge.txt", source_dir);
    FILE *cases = fopen(path, "r"), *out = NULL;
    assert_non_null(cases);
    struct config_row *row = NULL;
    while (fgets(line, sizeof line, cases)) {
        if (strncmp(line, "== ", 3) == 0) {
            if (out)
                assert_int_equal(fclose(out), 0);
            wrong += !case_holds(&c);
            n++;
            c = (struct a_case){0};
            row = NULL;
            (void)snprintf(c.name, sizeof c.name, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
            assert_int_equal(clearenv(), 0);
            out = fopen("config.yaml", "w");
            assert_non_null(out);
        } else if (strncmp(line, "-- ", 3) == 0) {
            append(c.expected, "%s", line + 3);
        } else if (strncmp(line, "++ ", 3) == 0) {
            row = row_begin(&c, line + 3);
        } else if (strncmp(line, "? ", 2) == 0) {
            c.asked[c.n_asked++] = keep(&c, line + 2);
        } else if (strncmp(line, "$ ", 2) == 0) {
            set_variable(line + 2);
        } else if (row && !row->value.p) {
            row->value = keep(&c, line);
        } else if (row) {
            row->info = keep(&c, line);
        } else if (out) {
            assert_true(fputs(line, out) >= 0);
        }
        if (c.n_rows && out) { /* the file stands before the rows */
            assert_int_equal(fclose(out), 0);
            out = NULL;
        }
    }
    if (out)
        assert_int_equal(fclose(out), 0);
    wrong += !case_holds(&c);
    assert_int_equal(fclose(cases), 0);
    assert_int_equal(wrong, 0);
    assert_true(n >= 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_join_the_file_as_litellm_merges_them),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP); /* the test clears the variable that says so */
    return cmocka_run_group_tests(tests, make_work_dir, remove_work_dir);
}
