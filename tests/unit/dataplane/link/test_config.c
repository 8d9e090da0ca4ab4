/* config.yaml as people write it, and wrong in every way they do (tests/cases/config). */

#include <sys/stat.h>
#include <unistd.h>

#include "link/config.h"
#include "test.h"

static char source_dir[1024];
static char work_dir[] = "/tmp/weir-test-config-XXXXXX";

/* Cases are read below the source tree, and run in an empty directory: names in messages are short.
 */
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
    (void)unlink("more.yaml");
    assert_int_equal(chdir(source_dir), 0);
    return rmdir(work_dir);
}

static FILE *open_case(const char *name)
{
    char path[1200];

    (void)snprintf(path, sizeof path, "%s/tests/cases/config/%s", source_dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    return f;
}

static FILE *open_output(const char *name)
{
    FILE *f = fopen(name, "w");

    assert_non_null(f);
    return f;
}

static void set_variable(char *assignment)
{
    char *value = strchr(assignment, '=');

    assert_non_null(value);
    *value = '\0';
    assert_int_equal(setenv(assignment, value + 1, 1), 0);
}

/* ---- files with one mistake ---- */

static void first_error(char *out, size_t n)
{
    AUTO_FREE(config) struct config *c = NULL;
    struct err e = {0};

    (void)snprintf(out, n, "accepted");
    if (config_read(&c, "config.yaml", config_environ, NULL, &e)) {
        (void)snprintf(out, n, "%s", e.msg);
        return;
    }
    for (const struct conf_note *note = c->file.log.first; note; note = note->next)
        if (note->severity == CONF_ERROR) {
            (void)snprintf(out, n, STR_FMT, STR_ARG(note->text));
            return;
        }
}

static bool is_told(const char *name, const char *expected)
{
    char got[1200];

    first_error(got, sizeof got);
    if (strcmp(got, expected) == 0)
        return true;
    print_error("%s\n  got      %s\n  expected %s\n", name, got, expected);
    return false;
}

/* "== name", "-- the message", then the file; "$ NAME=value" sets a variable, "++ name" begins
 * another file. */
static void test_each_mistake_is_told_with_its_place(void **state)
{
    char line[1200], name[100] = "", expected[1200] = "";
    FILE *cases = open_case("bad.txt"), *out = NULL;
    unsigned n = 0, wrong = 0;
    bool more = true;

    (void)state;
    while (more) {
        more = fgets(line, sizeof line, cases) != NULL;
        if (!more || strncmp(line, "== ", 3) == 0) {
            if (out) {
                assert_int_equal(fclose(out), 0);
                wrong += !is_told(name, expected);
                n++;
            }
            out = open_output("config.yaml");
            assert_int_equal(clearenv(), 0);
            (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
        } else if (strncmp(line, "-- ", 3) == 0) {
            (void)snprintf(expected, sizeof expected, "%.*s", (int)strcspn(line + 3, "\n"),
                           line + 3);
        } else if (strncmp(line, "$ ", 2) == 0) {
            line[strcspn(line, "\n")] = '\0';
            set_variable(line + 2);
        } else if (strncmp(line, "++ ", 3) == 0) {
            line[strcspn(line, "\n")] = '\0';
            assert_int_equal(fclose(out), 0);
            out = open_output(line + 3);
        } else {
            assert_true(fputs(line, out) >= 0);
        }
    }
    assert_int_equal(fclose(out), 0);
    assert_int_equal(fclose(cases), 0);
    assert_int_equal(wrong, 0);
    assert_true(n >= 60);
}

/* ---- a long file with nearly everything ---- */

static void test_check_tells_verdict_models_and_memory(void **state)
{
    static char expected[16 * 1024], got[16 * 1024];
    FILE *out = fmemopen(got, sizeof got - 1, "w");
    FILE *golden = open_case("good/long.check");

    (void)state;
    assert_int_equal(clearenv(), 0);
    set_variable((char[]){"OPENAI_API_KEY=sk-openai-1"});
    set_variable((char[]){"ANTHROPIC_API_KEY=sk-anthropic-1"});
    set_variable((char[]){"LITELLM_MASTER_KEY=sk-master-1"});
    set_variable((char[]){"DATABASE_URL=postgresql://user:password@host/db"});
    set_variable((char[]){"LITELLM_ENVIRONMENT=production"});
    assert_non_null(out);
    assert_true(fread(expected, 1, sizeof expected - 1, golden) > 0);
    assert_int_equal(fclose(golden), 0);
    assert_int_equal(chdir(source_dir), 0);
    assert_int_equal(config_check("tests/cases/config/good/long.yaml", out), 0);
    assert_int_equal(chdir(work_dir), 0);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(got, expected);
    assert_null(strstr(got, "sk-"));
    assert_null(strstr(got, "password"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_is_told_with_its_place),
        cmocka_unit_test(test_check_tells_verdict_models_and_memory),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP); /* the tests clear the variable that says so */
    return cmocka_run_group_tests(tests, make_work_dir, remove_work_dir);
}
