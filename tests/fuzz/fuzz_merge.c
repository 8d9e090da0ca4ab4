/*
 * Rows of the database: JSON of any shape merged into a configuration, and each entry read. The
 * first byte says what the row is; a blank line ends its value.
 */

#include <sys/mman.h>
#include <unistd.h>

#include "common/gateway/config_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str no_env(void *ctx, struct str name)
{
    (void)ctx;
    return str_eq(name, STR("OPENAI_API_KEY")) ? STR("sk-1") : (struct str){0};
}

static const char *empty_file(void)
{
    static char path[32];
    static const char text[] = "general_settings: {store_model_in_db: true}\n"
                               "credential_list: [{credential_name: c, credential_values: {}}]\n";

    if (!path[0]) {
        int fd = memfd_create("config", 0); /* in memory: it goes with the process */
        ASSERT(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)(sizeof text - 1));
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sections[] = {"general_settings", "litellm_settings",
                                           "router_settings", "environment_variables"};
    struct config_file f = {0};
    struct err e;

    if (size < 1)
        return 0;
    struct str text = {(const char *)data + 1, size - 1}, value, info = {0};
    size_t blank = str_find(text, STR("\n\n"));
    value = blank == SIZE_MAX ? text : (struct str){text.p, blank};
    if (blank != SIZE_MAX)
        info = str_from(text, blank + 2);
    struct config_row rows[] = {
        {.kind = ROW_MODEL,
         .id = STR("m1"),
         .name = STR("a"),
         .value = value,
         .info = info,
         .by_proxy_admin = (data[0] & 1) != 0},
        {.kind = ROW_CREDENTIAL, .name = STR("c"), .value = info},
        {.kind = ROW_SETTING, .name = str_of(sections[data[0] >> 6]), .value = value},
    };
    if (config_file_read_with(&f, empty_file(), rows, ARRAY_LEN(rows), no_env, NULL, &e) ==
        ERRC_OK) {
        CONF_FOREACH(f.value[SETTING_TOP_model_list], it)
        {
            struct config_entry en;
            if (!conf_is_off(conf_get(it, STR("litellm_params"))) &&
                config_entry_read(&en, &f, it, &f.rows))
                (void)conf_json(&f.arena, en.params);
        }
    }
    config_file_deinit(&f);
    return 0;
}
