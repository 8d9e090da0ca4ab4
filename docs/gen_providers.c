/*
 * Writes docs/providers.md from the table of providers and from what a deployment of each becomes:
 * nothing in the page is said twice. `--check FILE` compares instead, for the test.
 */

#include "common/gateway/price_map.h"
#include "common/gateway/provider.h"

#include "docs/page.h"
#include "provider/quirks.h"
#include "provider/target.h"

enum { ARENA_BYTES = 1 << 20 };

static const struct {
    enum api api;
    const char *name;
} apis[] = {
    {API_CHAT, "chat"},
    {API_COMPLETIONS, "completions"},
    {API_EMBEDDINGS, "embeddings"},
    {API_MODERATIONS, "moderations"},
    {API_RESPONSES, "responses"},
    {API_MESSAGES, "messages"},
};

static const char intro[] =
    "# Providers\n"
    "\n"
    "<!-- Written by docs/gen_providers.c from common/gateway/providers.def; do not edit. -->\n"
    "\n"
    "A deployment names its provider before the first slash of `litellm_params.model`\n"
    "(`groq/llama-3.3-70b-versatile`), in `custom_llm_provider`, by the host of `api_base`, or by "
    "a "
    "model\n"
    "name the price table knows. The key is `api_key`, else the first variable below that is set; "
    "the base is\n"
    "`api_base`, else its variables, else the default. Parameters a provider does not know are an "
    "error, or\n"
    "are removed where `drop_params` is on.\n"
    "\n"
    "Any server that speaks OpenAI's API works as `custom_openai/NAME` or `openai/NAME` with an "
    "`api_base`.\n";

/* A deployment of the provider with everything it may need, so that only the table decides. */
static enum errc example(const struct provider *p, struct target *t, struct arena *a)
{
    struct str missing, model;
    struct err e;

    model = arena_printf(a, "%s/%s", p->id.p,
                         str_eq(p->id, STR("ragflow")) ? "chat/ID/MODEL" : "MODEL");
    const struct target_config c = {.model = model,
                                    .api_key = STR("KEY"),
                                    .aws_region_name = STR("REGION"),
                                    .api_base = p->base.n ? STR("") : STR("http://HOST")};
    enum errc rc = target_make(t, &c, a, &missing, &e);
    if (rc && p->base.n) { /* a default with a placeholder that only the environment fills */
        struct target_config with_base = c;
        with_base.api_base = STR("http://HOST");
        rc = target_make(t, &with_base, a, &missing, &e);
    }
    return rc;
}

static void put_words(FILE *f, struct str words)
{
    struct str word;
    const char *sep = "";

    while (provider_next_word(&words, &word)) {
        fprintf(f, "%s`" STR_FMT "`", sep, STR_ARG(word));
        sep = ", ";
    }
}

static void put_apis(FILE *f, const struct target *t)
{
    const char *sep = "";

    for (size_t i = 0; i < ARRAY_LEN(apis); i++)
        if (t->path[apis[i].api].before.n) {
            fprintf(f, "%s%s", sep, apis[i].name);
            sep = ", ";
        }
}

static void put_served(FILE *f, const struct provider *p, const struct target *t)
{
    fprintf(f, "| `%s` | %s | ", p->id.p, p->name.p);
    put_apis(f, t);
    fprintf(f, " | ");
    put_words(f, p->keys);
    fprintf(f, " | ");
    put_words(f, p->bases);
    if (p->base.n)
        fprintf(f, " | `%s` |\n", p->base.p);
    else
        fputs(" | |\n", f);
}

/* What the row says it lacks; false when it says nothing. */
static bool put_lacks(FILE *f, const struct provider *p)
{
    struct str clauses = p->quirks, verb, text;
    bool some = false;

    while (quirks_next(&clauses, &verb, &text)) {
        if (!str_eq(verb, STR("lacks")))
            continue;
        if (some)
            fprintf(f, "; " STR_FMT, STR_ARG(text));
        else
            fprintf(f, "| `%s` | " STR_FMT, p->id.p, STR_ARG(text));
        some = true;
    }
    return some;
}

static bool is_served(const struct provider *p, struct target *t, struct arena *a)
{
    return example(p, t, a) == ERRC_OK && !t->unsupported.n;
}

static void page_write(FILE *f)
{
    struct target t;
    struct arena a;

    arena_init(&a, NULL, ARENA_BYTES);
    fputs(intro, f);
    fputs("\n## Served\n\n| id | provider | APIs | key | base | default base |\n"
          "| --- | --- | --- | --- | --- | --- |\n",
          f);
    for (size_t i = 0; i < provider_count(); i++, arena_reset(&a))
        if (is_served(provider_at(i), &t, &a))
            put_served(f, provider_at(i), &t);

    fputs("\n## Not done yet for served providers\n\n| id | what |\n| --- | --- |\n", f);
    for (size_t i = 0; i < provider_count(); i++, arena_reset(&a))
        if (is_served(provider_at(i), &t, &a) && put_lacks(f, provider_at(i)))
            fputs(" |\n", f);

    fputs("\n## Not served\n\nA deployment of these loads; a request to it is answered 501 with "
          "the reason.\n\n| id | provider | reason |\n| --- | --- | --- |\n",
          f);
    for (size_t i = 0; i < provider_count(); i++, arena_reset(&a)) {
        const struct provider *p = provider_at(i);
        if (!is_served(p, &t, &a))
            fprintf(f, "| `%s` | %s | " STR_FMT " |\n", p->id.p, p->name.p, STR_ARG(t.unsupported));
    }
    fprintf(
        f,
        "\n## Prices\n\nThe compiled-in table knows the prices of %zu models, as published in "
        "July 2026. `model_info` and\n`litellm_params` override single prices; a price map in "
        "LiteLLM's format is read before the table.\nWhat is not stated anywhere is reported as "
        "unpriced, never as free.\n",
        price_map_count(NULL));
}

int main(int argc, char **argv)
{
    return page_main(argc, argv, page_write, "weir-docs-providers");
}
