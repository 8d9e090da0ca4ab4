/*
 * Writes docs/api.md: which API an upstream is spoken to in (common/gateway/via.c), what parameters
 * are called in each (dialect/params.def), what models can (capabilities.def), and what of a
 * request and of a reply comes through translation, by translating samples of it
 * (dialect/carries.def).
 * `--check FILE` compares instead, for the test.
 */

#include "common/gateway/capability.h"
#include "common/gateway/via.h"

#include "dialect/translate.h"
#include "docs/page.h"

enum { ARENA_BYTES = 4 << 20 };

static const char intro[] =
    "# APIs and translation\n"
    "\n"
    "<!-- Written by docs/gen_api.c; do not edit. -->\n"
    "\n"
    "A client speaks its own API to any model. Where the upstream speaks it too, a request passes "
    "as "
    "it is\n"
    "([client-api.md](client-api.md)); else request, reply and stream are translated. Each API is "
    "read into and\n"
    "written from one neutral form, so that no third API stands between two.\n";

/* The APIs that are translated into each other, with the model the samples are written for. */
static const struct {
    enum api api;
    const char *name, *provider, *model, *ask;
} sides[] = {
    {API_CHAT, "chat", "openai", "gpt-5.2", "{'messages':[{'role':'user','content':'x'}]}"},
    {API_MESSAGES, "Messages", "anthropic", "claude-opus-5",
     "{'max_tokens':20000,'messages':[{'role':'user','content':'x'}]}"},
    {API_RESPONSES, "Responses", "openai", "gpt-5.2", "{'input':'x'}"},
};

enum { SIDES = ARRAY_LEN(sides) };

struct sample {
    bool is_reply;
    const char *what, *mark;
    const char *text[SIDES];
};

static const struct sample samples[] = {
#define ASKS(what, mark, chat, messages, responses)                                                \
    {false, what, mark, {chat, messages, responses}},
#define TELLS(what, mark, chat, messages, responses)                                               \
    {true, what, mark, {chat, messages, responses}},
#include "dialect/carries.def"
#undef ASKS
#undef TELLS
};

static struct bufpool pool = {.ceiling = 64 << 20};
static struct arena_pool blocks;

/* ---- one translation --------------------------------------------------------------------------
 */

/* Single quotes become double ones, and braces are put around where they are missing. */
static struct str json_of(struct arena *a, const char *text)
{
    struct str s = arena_printf(a, *text == '{' ? "%s" : "{%s}", text);
    char *p = arena_alloc(a, s.n + 1);

    ASSERT(p);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] == '\'' ? '"' : s.p[i];
    return (struct str){p, s.n};
}

static bool has_mark(struct arena *a, const struct buf *out, const char *mark)
{
    struct str quoted = json_of(a, mark);
    struct str inner = {quoted.p + 1, quoted.n - 2};

    return str_find((struct str){out->p, out->n}, inner) != SIZE_MAX;
}

/* The request written for side `to`; false: it was refused. */
static bool write_request(struct translate *t, unsigned to, struct str body, struct buf *out)
{
    struct jout o = jout_init(&pool, out);
    struct upstream_model m = {.name = str_of(sides[to].model),
                               .provider = str_of(sides[to].provider)};

    m.can = capability_of(m.provider, m.name, &m.max_output);
    bool ok = translate_read(t, body) && translate_write(t, &o, &m);
    jout_deinit(&o);
    return ok;
}

static const char *verdict(const struct sample *s, unsigned from, unsigned to)
{
    static struct reply_scan scan;
    struct translate t;
    struct buf out = {0};
    struct arena a;
    const char *says = "lost";

    if (!*s->text[from])
        return "";
    arena_init(&a, NULL, ARENA_BYTES);
    /* a reply goes the other way: from the upstream to the client */
    unsigned client = s->is_reply ? to : from, upstream = s->is_reply ? from : to;
    translate_init(&t, sides[client].api, sides[upstream].api, &pool, &blocks, &a);
    struct str body = json_of(&a, s->is_reply ? sides[client].ask : s->text[from]);
    if (!write_request(&t, upstream, body, &out)) {
        says = "refused";
    } else if (s->is_reply) {
        struct translate_reply r = {.scan = &scan, .model = STR("\"m\""), .now_s = 1};
        reply_scan_init(&scan);
        out.n = 0;
        if (!translate_reply_begin(&t, &r) ||
            !translate_whole(&t, json_of(&a, s->text[from]), &out))
            says = "refused";
    }
    if (!strcmp(says, "lost") && has_mark(&a, &out, s->mark))
        says = "yes";
    translate_deinit(&t);
    buf_free(&pool, &out);
    arena_reset(&a);
    return says;
}

static void put_samples(FILE *f, bool replies)
{
    fputs("\n| |", f);
    for (unsigned from = 0; from < SIDES; from++)
        for (unsigned to = 0; to < SIDES; to++)
            if (from != to)
                fprintf(f, " %s to %s |", sides[from].name, sides[to].name);
    fputs("\n| --- |", f);
    for (unsigned i = 0; i < SIDES * (SIDES - 1); i++)
        fputs(" --- |", f);
    fputs("\n", f);
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        const struct sample *s = &samples[i];
        if (s->is_reply != replies)
            continue;
        fprintf(f, "| %s |", s->what);
        for (unsigned from = 0; from < SIDES; from++)
            for (unsigned to = 0; to < SIDES; to++)
                if (from != to)
                    fprintf(f, " %s |", verdict(s, from, to));
        fputs("\n", f);
    }
}

/* --which API is spoken ------------------------------------------------------------------------
 */

static void put_vias(FILE *f)
{
    static const uint32_t azure = BIT(API_CHAT) | BIT(API_COMPLETIONS) | BIT(API_RESPONSES);
    static const uint32_t openai =
        BIT(API_CHAT) | BIT(API_COMPLETIONS) | BIT(API_RESPONSES) | BIT(API_INPUT_TOKENS);
    static const enum api clients[] = {API_CHAT, API_COMPLETIONS, API_MESSAGES, API_RESPONSES,
                                       API_COUNT_TOKENS};
    static const struct {
        const char *upstream;
        struct via_config config;
        enum via_kind kind;
    } rows[] = {
        {"`openai`, chat models",
         {.native = openai, .messages_by_responses = true, .refuses_completions = true},
         VIA_CHAT},
        {"`openai`, models nobody knows",
         {.native = openai, .messages_by_responses = true, .refuses_completions = true},
         VIA_UNKNOWN},
        {"`azure`", {.native = azure, .refuses_completions = true}, VIA_CHAT},
        {"Responses models: `openai/responses/NAME`, `model_info.mode: responses`, the price table",
         {.native = openai, .messages_by_responses = true},
         VIA_RESPONSES},
        {"compatible servers that serve chat alone", {.native = BIT(API_CHAT)}, VIA_UNKNOWN},
        {"compatible servers that serve chat and Responses",
         {.native = BIT(API_CHAT) | BIT(API_RESPONSES)},
         VIA_UNKNOWN},
        {"the same, `use_chat_completions_api` or `openai/chat_completions/NAME`",
         {.native = BIT(API_CHAT) | BIT(API_RESPONSES), .responses_by_chat = true},
         VIA_UNKNOWN},
        {"Anthropic's dialect", {.native = BIT(API_MESSAGES) | BIT(API_COUNT_TOKENS)}, VIA_UNKNOWN},
    };

    fputs("\n## Which API the upstream is spoken to in\n\n"
          "By the API of the client. `weir-dataplane --check FILE` says it of each model.\n\n| "
          "upstream |",
          f);
    for (size_t k = 0; k < ARRAY_LEN(clients); k++)
        fprintf(f, " " STR_FMT " |", STR_ARG(api_name(clients[k])));
    fputs("\n| --- | --- | --- | --- | --- | --- |\n", f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fprintf(f, "| %s |", rows[i].upstream);
        for (size_t k = 0; k < ARRAY_LEN(clients); k++) {
            enum api via = via_of(&rows[i].config, rows[i].kind, clients[k]);
            if (via == clients[k])
                fputs(" as it is |", f);
            else if (via == API_COUNT)
                fputs(" estimated here |", f);
            else
                fprintf(f, " " STR_FMT " |", STR_ARG(api_name(via)));
        }
        fputs("\n", f);
    }
    fputs("\nMessages with `stop_sequences` go to `openai` as chat: the Responses API has none. "
          "Chat with function tools to\n"
          "GPT-5.4 and later goes as Responses while the model reasons: chat completions refuse "
          "that. "
          "`use_chat_completions_url_for_anthropic_messages`\nsends all of them as chat, "
          "`route_all_chat_openai_to_responses` all chat as Responses.\n",
          f);
}

/* ---- parameters, models -------------------------------------------------------------------------
 */

static void put_name(FILE *f, const char *name)
{
    if (*name)
        fprintf(f, " `%s` |", name);
    else
        fputs(" |", f);
}

static void put_params(FILE *f)
{
    static const char *const params[][3] = {
#define PARAM(id, chat, messages, responses) {chat, messages, responses},
#include "dialect/params.def"

#undef PARAM
    };

    fputs("\n## Parameters\n\nThese have one meaning in every API that has them; their values pass "
          "as "
          "they are written.\nWhere the upstream's API has none, a parameter is lost, or refused "
          "where its provider's rules say so\n(`drop_params`, [providers.md](providers.md)).\n\n"
          "| chat | Messages | Responses |\n| --- | --- | --- |\n",
          f);
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        fputs("|", f);
        for (size_t k = 0; k < ARRAY_LEN(params[i]); k++)
            put_name(f, params[i][k]);
        fputs("\n", f);
    }
}

static void put_capabilities(FILE *f)
{
    static const struct {
        const char *provider, *model;
    } models[] = {
        {"anthropic", "claude-opus-5"},
        {"anthropic", "claude-opus-4-6"},
        {"anthropic", "claude-sonnet-4-5"},
        {"anthropic", "claude-3-haiku-20240307"},
        {"openai", "gpt-5.2"},
        {"openai", "o3"},
        {"openai", "gpt-4o"},
        {"deepseek", "deepseek-chat"},
        {"hosted_vllm", "any"},
    };

    fputs("\n## What models can\n\nA request is written for the model that gets it. "
          "`model_info` corrects the table\n([configuration.md](configuration.md), "
          "`supports_...`).\n\n| |",
          f);
    for (size_t k = 0; k < ARRAY_LEN(models); k++)
        fprintf(f, " %s |", models[k].model);
    fputs("\n| --- |", f);
    for (size_t k = 0; k < ARRAY_LEN(models); k++)
        fputs(" --- |", f);
    fputs("\n", f);
    for (unsigned b = 0; b < CAPABILITY_COUNT; b++) {
        fprintf(f, "| %s |", capability_sentence((enum capability_bit)b));
        for (size_t k = 0; k < ARRAY_LEN(models); k++) {
            uint32_t max_output;
            uint32_t can =
                capability_of(str_of(models[k].provider), str_of(models[k].model), &max_output);
            fputs(can & BIT(b) ? " yes |" : " |", f);
        }
        fputs("\n", f);
    }
}

/* ---- limits -----------------------------------------------------------------------------------
 */

static void put_limits(FILE *f)
{
    static const struct {
        const char *what;
        size_t most;
        const char *beyond;
    } rows[] = {
        {"JSON values in a request", JSON_TAPE_VALUES, "400 `too_many_fields`"},
        {"levels of nesting", JSON_TAPE_DEPTH, "400 `deep_json`"},
        {"tools, and names of allowed tools", TOOLS_MOST, "400"},
        {"escapes that are half a pair of surrogates, in a request", JSON_TAPE_LONE,
         "400 `broken_text`"},
        {"MiB of a request as the upstream gets it", BUF_MAX >> 20,
         "413 `large_translation`; texts of 16 KiB and more do not count"},
        {"MiB of tool calls' arguments, where one of the two APIs is Messages",
         TRANSLATE_ARGUMENTS_MAX >> 20, "413 `large_arguments`"},
        {"MiB of a whole reply", TRANSLATE_REPLY_MAX >> 20, "502 `upstream_too_large`"},
        {"MiB of one event of a stream", SSE_EVENT_MAX >> 20, "the same, or the stream's error"},
        {"MiB of a reply to a client of Responses", RESPONSES_REPLY_MAX >> 20, "the same"},
    };

    fputs("\n## Limits of translation\n\nSo that no request makes others wait longer than a few "
          "milliseconds. What is passed as it is has none of them.\n\n"
          "| what | most | beyond it |\n| --- | --- | --- |\n",
          f);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        fprintf(f, "| %s | %zu | %s |\n", rows[i].what, rows[i].most, rows[i].beyond);
}

/* ---- the page ---------------------------------------------------------------------------------
 */

static void page_write(FILE *f)
{
    fputs(intro, f);
    put_vias(f);
    fputs("\n## What of a request comes through\n\nBy what translating a sample gives, for ", f);
    for (unsigned i = 0; i < SIDES; i++)
        fprintf(f, "%s%s (%s)", i ? ", " : "", sides[i].name, sides[i].model);
    fputs(".\nEmpty: the API of the client has nothing of the kind.\n", f);
    put_samples(f, false);
    fputs("\nMessages has no mode for any JSON: its models are told to in the system prompt. Text "
          "completions\n"
          "are read as one message of the user and answered as text.\n"
          "\n## What of a reply comes through\n\nFrom the upstream's API to the client's; the same "
          "of "
          "a whole reply and of a stream, which are made of the\nsame events.\n",
          f);
    put_samples(f, true);
    put_params(f);
    put_capabilities(f);
    put_limits(f);
}

int main(int argc, char **argv)
{
    int rc = page_main(argc, argv, page_write, "weir-docs-api");

    bufpool_deinit(&pool);
    return rc;
}
