/*
 * Writes docs/configuration.md from the settings table: nothing in the page is said twice.
 * `--check FILE` compares instead, for the test.
 */

#include "common/gateway/settings.h"

#include "docs/page.h"

static const char intro[] =
    "# Configuration\n"
    "\n"
    "<!-- Written by docs/gen_configuration.c from common/gateway/settings.def; do not edit. -->\n"
    "\n"
    "Weir reads LiteLLM's `config.yaml` as it is; settings of its own stand in the section "
    "`weir`.\n"
    "`weir-dataplane --check FILE` says what becomes of a file: errors with file and line, "
    "warnings,\n"
    "the models and where they lead, the most memory it may take.\n"
    "\n"
    "- `os.environ/NAME` as a value, at any depth, is the variable NAME: first of\n"
    "  `environment_variables`, then of the process. A missing one is null, the texts `true` and\n"
    "  `false` are booleans.\n"
    "- `include` merges other files: lists are appended, other values replaced.\n"
    "- A key this page does not name is an error with its line and the nearest name. "
    "`litellm_params`\n"
    "  and `model_info` are open: any other parameter is a default for the request body, any "
    "other\n"
    "  key of `model_info` is shown by `/v1/model/info`.\n"
    "- A broken entry of `model_list` is left out with a warning, unless\n"
    "  `router_settings.ignore_invalid_deployments` is false or no entry is left.\n"
    "- Prices may stand in `litellm_params` and `model_info`, under the names of LiteLLM's price "
    "map.\n"
    "\n"
    "Each key is one of three kinds:\n"
    "\n"
    "- **honoured**: it does what it does in LiteLLM;\n"
    "- **harmless**: it has no effect in this release, and one warning at start names all such "
    "keys;\n"
    "- **enforces**: it has no effect in this release and protects something, so the start is "
    "refused,\n"
    "  naming file, line and key, unless `weir: {accept_unenforced: [KEY]}` lists it. A value "
    "that\n"
    "  means \"off\" is not refused.\n";

static const struct {
    enum setting_section section;
    const char *title;
} sections[] = {
    {SECTION_WEIR, "`weir`"},
    {SECTION_TOP, "Top level"},
    {SECTION_MODEL, "`model_list`, each entry"},
    {SECTION_PARAMS, "`litellm_params`"},
    {SECTION_INFO, "`model_info`"},
    {SECTION_ROUTER, "`router_settings`"},
    {SECTION_LITELLM, "`litellm_settings`"},
    {SECTION_GENERAL, "`general_settings`"},
    {SECTION_CREDENTIAL, "`credential_list`, each entry"},
    {SECTION_ENV, "Environment"},
};

/* Bytes of a cell: a table's bar is escaped. */
static void put_cell(FILE *f, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '|')
            (void)fputc('\\', f);
        (void)fputc(s.p[i], f);
    }
}

static void put_row(FILE *f, const struct setting *s)
{
    fprintf(f, "| `" STR_FMT "` | ", STR_ARG(s->key));
    if (s->values.n && s->verdict == VERDICT_HONOURED) {
        (void)fputc('`', f);
        put_cell(f, s->values);
        (void)fputc('`', f);
    } else {
        (void)fputs(setting_type_name(s->type), f);
        if (s->max)
            fprintf(f, ", %u to %u", s->min, s->max);
    }
    if (s->dflt.n)
        fprintf(f, " | `" STR_FMT "`", STR_ARG(s->dflt));
    else
        (void)fputs(" |", f);
    fprintf(f, " | %s | ", setting_verdict_name(s->verdict));
    put_cell(f, str_of(s->sentence));
    if (s->values.n && s->verdict == VERDICT_HARMLESS) {
        (void)fputs(" Enforces with: `", f);
        put_cell(f, s->values);
        (void)fputc('`', f);
    }
    (void)fputs(" |\n", f);
}

static void put_page(FILE *f)
{
    (void)fputs(intro, f);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        fprintf(f,
                "\n## %s\n\n| Key | Value | Default | Kind | |\n| --- | --- | --- | --- | --- |\n",
                sections[i].title);
        for (unsigned id = 0; id < SETTINGS; id++)
            if (setting_at((enum setting_id)id)->section == sections[i].section)
                put_row(f, setting_at((enum setting_id)id));
    }
}

int main(int argc, char **argv)
{
    return page_main(argc, argv, put_page, "weir-docs-configuration");
}
