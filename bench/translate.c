/*
 * How long the worst bodies and replies keep the loop, and what memory they take: every pairing of
 * client and upstream reads and writes each case once to warm up and three times to measure.
 *
 *   weir-bench-translate [--mib N] [NAME]...     cases whose names begin so; bodies of N MiB (32)
 *
 * A line a case and pairing: bytes, milliseconds of reading and of writing (the best of three; the
 * worker does one after the other), bytes of memory beside the body per byte of it (peak resident
 * size). A case is as large as its bounds let it be: 32 MiB, 4 of arguments, 8 of replies, or 128K
 * values.
 */

#include "dialect/translate.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"

enum { ROUNDS = 3, FEED = 64 * 1024 };

static size_t body_max = (size_t)32 << 20;

static struct bufpool pool = {.ceiling = (size_t)2 << 30};
static struct arena_pool blocks = {.max_spare = 64};

/* --- bodies -------------------------------------------------------------------------------------
 */

struct text {
    char *p;
    size_t n, cap;
};

static void put_str(struct text *t, struct str s)
{
    if (t->n + s.n > t->cap) {
        t->cap = MAX(t->cap * 2, t->n + s.n + 4096);
        t->p = realloc(t->p, t->cap);
        ASSERT(t->p);
    }
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

static void put(struct text *t, const char *s)
{
    put_str(t, str_of(s));
}

/* `s` until the text has `bytes`. */
static void fill(struct text *t, const char *s, size_t bytes)
{
    while (t->n + strlen(s) < bytes)
        put(t, s);
}

/* `one` with its number wherever it has a #, and a text of 15 KiB for a @. */
static void put_one(struct text *t, const char *one, unsigned number)
{
    char digits[16];
    struct str rest = str_of(one);

    (void)snprintf(digits, sizeof digits, "%u", number);
    while (rest.n) {
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '#' && rest.p[n] != '@')
            n++;
        put_str(t, (struct str){rest.p, n});
        if (n < rest.n && rest.p[n] == '@')
            fill(t, "some words of a long text ", t->n + 15 * 1024);
        else if (n < rest.n)
            put(t, digits);
        rest = str_from(rest, MIN(n + 1, rest.n));
    }
}

/* What a case repeats: in the API's own words, `head`, then `one` again and again, then `tail`. */
struct shape {
    const char *name;
    enum api client;
    const char *head, *one, *tail;
    unsigned n; /* 0: `one` is a piece of a text, as many as fit, MIB(m): of them m MiB */
};

#define MIB(m) (1u << 31 | (m))

#define CHAT_USER(head, tail) "{\"messages\":[{\"role\":\"user\",\"content\":\"" head, tail "\"}]}"
#define CHAT_TOOLS            "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":["
#define CHAT_FORMAT                                                                                \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":\"json_"  \
    "schema\",\"json_schema\":{\"name\":\"n\",\"schema\":"
#define LONG                                                                                       \
    "a_name_that_is_longer_than_any_api_takes_and_only_differs_at_its_very_end_whatever_a_hash_"   \
    "says_of_it_xxxxxxxxxxxxxxxxxxxxxxxxxxxx_"

/* clang-format off */
static const struct shape shapes[] = {
    {"text", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"", "some words of a long text ", "\"}]}", 0},
    {"text", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"", "some words of a long text ", "\"}]}", 0},
    {"text", API_RESPONSES, "{\"input\":\"", "some words of a long text ", "\"}", 0},
    {"lines", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"", "a line of \\\"code\\\" of usual length {\\n", "\"}]}", 0},
    {"lines", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"", "a line of \\\"code\\\" of usual length {\\n", "\"}]}", 0},
    {"lines", API_RESPONSES, "{\"input\":\"", "a line of \\\"code\\\" of usual length {\\n", "\"}", 0},
    {"escapes", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"", "\\n", "\"}]}", 0},
    {"escapes", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"", "\\n", "\"}]}", 0},
    {"escapes", API_RESPONSES, "{\"input\":\"", "\\n", "\"}", 0},
    {"units", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"", "\\u0041", "\"}]}", 0},
    {"units", API_RESPONSES, "{\"input\":\"", "\\u0041", "\"}", 0},
    {"pairs", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"", "\\ud83d\\ude00", "\"}]}", 0},
    {"halves", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"", "\\ud83d", "\"}]}", 0},
    {"half", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud83d", "a line of \\\"code\\\" of usual length {\\n", "\"}]}", 0},
    {"blanks", API_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x", " ", "\"}]}", 0},
    {"blanks", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"assistant\",\"content\":\"x", "\\n", "\"}]}", 0},
    {"slashes", API_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"content\":\"x", "\\\\", "n\"}]}", 0},
    {"image", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBORw0KGgoA", "AAAAAAAA", "\"}}]}]}", 0},
    {"image", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"iVBORw0KGgoA", "AAAAAAAA", "\"}}]}]}", 0},
    {"image", API_RESPONSES, "{\"input\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_image\",\"image_url\":\"data:image/png;base64,iVBORw0KGgoA", "AAAAAAAA", "\"}]}]}", 0},
    {"image-lines", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBORw0KGgoA", "AAAAAAAA\\n", "\"}}]}]}", 0},
    {"arguments", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "some words of a long text ", "\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"y\"}]}", 0},
    {"arguments", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"", "some words of a long text ", "\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"y\"}]}]}", 0},
    {"arguments", API_RESPONSES, "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "some words of a long text ", "\\\"}\"},{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"y\"}]}", 0},
    {"arguments-lines", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "a line of code of usual length {\\\\n", "\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"y\"}]}", 0},
    {"arguments-lines", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"", "a line of code of usual length {\\n", "\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"y\"}]}]}", 0},
    {"arguments-4", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "some words of a long text ", "\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"y\"}]}", MIB(4)},
    {"arguments-4", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"", "some words of a long text ", "\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"y\"}]}]}", MIB(4)},
    {"arguments-4", API_RESPONSES, "{\"input\":[{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "some words of a long text ", "\\\"}\"},{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":\"y\"}]}", MIB(4)},
    {"arguments-4-lines", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "a line of code of usual length {\\\\n", "\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"y\"}]}", MIB(4)},
    {"arguments-4-swarm", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "\\\\n", "\\\"}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"y\"}]}", MIB(4)},
    {"arguments-4-lines", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"", "a line of code of usual length {\\n", "\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"y\"}]}]}", MIB(4)},
    {"arguments-4-swarm", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"", "\\n", "\"}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"c\",\"content\":\"y\"}]}]}", MIB(4)},
    {"messages", API_CHAT, "{\"messages\":[", "{\"role\":\"user\",\"content\":\"x\"}", "]}", 26000},
    {"messages", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[", "{\"role\":\"user\",\"content\":\"x\"}", "]}", 26000},
    {"messages", API_RESPONSES, "{\"input\":[", "{\"role\":\"user\",\"content\":\"x\"}", "]}", 26000},
    {"texts", API_CHAT, "{\"messages\":[", "{\"role\":\"user\",\"content\":\"@\"}", "]}", 2150},
    {"texts", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[", "{\"role\":\"user\",\"content\":\"@\"}", "]}", 2150},
    {"texts", API_RESPONSES, "{\"input\":[", "{\"role\":\"user\",\"content\":\"@\"}", "]}", 2150},
    {"parts", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":[", "{\"type\":\"text\",\"text\":\"x\"}", "]}]}", 26000},
    {"parts", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[", "{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{}}", "]}]}", 18000},
    {"parts", API_RESPONSES, "{\"input\":[{\"role\":\"user\",\"content\":[", "{\"type\":\"input_text\",\"text\":\"x\"}", "]}]}", 26000},
    {"empty", API_CHAT, "{\"messages\":[", "{}", "]}", 120000},
    {"empty", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[", "{}", "]}]}", 120000},
    {"empty", API_RESPONSES, "{\"input\":[", "{}", "]}", 120000},
    {"numbers", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stop\":[", "\"a\"", "]}", 130000},
    {"calls", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[", "{\"id\":\"c#\",\"type\":\"function\",\"function\":{\"name\":\"" LONG "#\",\"arguments\":\"{}\"}}", "]}]}", 11900},
    {"calls", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[", "{\"type\":\"tool_use\",\"id\":\"c#\",\"name\":\"" LONG "#\",\"input\":{}}", "]}]}", 14500},
    {"calls", API_RESPONSES, "{\"input\":[", "{\"type\":\"function_call\",\"call_id\":\"c#\",\"name\":\"" LONG "#\",\"arguments\":\"{}\"}", "]}", 14500},
    {"custom-calls", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"tool_calls\":[", "{\"id\":\"c#\",\"type\":\"custom\",\"custom\":{\"name\":\"n#\",\"input\":\"{}\"}}", "]}]}", 11900},
    {"custom-calls", API_RESPONSES, "{\"input\":[", "{\"type\":\"custom_tool_call\",\"call_id\":\"c#\",\"name\":\"n#\",\"input\":\"{}\"}", "]}", 14500},
    {"results", API_CHAT, "{\"messages\":[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"custom\",\"custom\":{\"name\":\"n\",\"input\":\"\"}}]},", "{\"role\":\"tool\",\"tool_call_id\":\"c#\",\"content\":\"\"}", "]}", 18000},
    {"results", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":[", "{\"type\":\"tool_result\",\"tool_use_id\":\"c#\",\"content\":\"\"}", "]}]}", 18000},
    {"results", API_RESPONSES, "{\"input\":[", "{\"type\":\"custom_tool_call\",\"call_id\":\"c#\",\"name\":\"n\",\"input\":\"\"},{\"type\":\"function_call_output\",\"call_id\":\"c#\",\"output\":\"\"}", "]}", 7200},
    {"tools", API_CHAT, CHAT_TOOLS, "{\"type\":\"function\",\"function\":{\"name\":\"" LONG "#\"}}", "]}", 18000},
    {"tools", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[", "{\"name\":\"" LONG "#\",\"input_schema\":{}}", "]}", 26000},
    {"tools", API_RESPONSES, "{\"input\":\"x\",\"tools\":[", "{\"type\":\"custom\",\"name\":\"" LONG "#\"}", "]}", 2000},
    {"space", API_RESPONSES, "{\"input\":\"x\",\"tools\":[{\"type\":\"namespace\",\"name\":\"n\",\"tools\":[", "{\"type\":\"function\",\"name\":\"" LONG "#\"}", "]}]}", 2000},
    {"allowed", API_RESPONSES, "{\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"a\"}],\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[", "{\"type\":\"function\",\"name\":\"" LONG "#\"}", "]}}", 26000},
    {"allowed", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}}],\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\",\"tools\":[", "{\"type\":\"function\",\"function\":{\"name\":\"" LONG "#\"}}", "]}}}", 18000},
    {"schema", API_CHAT, CHAT_FORMAT "{\"type\":\"object\",\"properties\":{", "\"p#\":{\"type\":\"string\"}", "}}}}}", 32000},
    {"schema-of", API_CHAT, CHAT_FORMAT "{", "\"oneOf\":[]", "}}}}", 60000},
    {"schema-notes", API_CHAT, CHAT_FORMAT "{", "\"minimum\":#", "}}}}", 60000},
    {"schema-strict", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"output_config\":{\"format\":{\"type\":\"json_schema\",\"schema\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{", "\"p#\":{}", "},\"required\":[]}}}}", 40000},
    {"extras", API_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],", "\"x#\":1", "}", 1000},
    {"extras", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],", "\"x#\":1", "}", 1000},
    {"extras", API_RESPONSES, "{\"input\":\"x\",", "\"x#\":1", "}", 1000},
    {"input", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":[", "1", "]}}]}]}", 130000},
    {"marks", API_MESSAGES, "{\"max_tokens\":9,\"system\":[", "{\"type\":\"text\",\"text\":\"x\",\"cache_control\":{\"type\":\"ephemeral\"}}", "],\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 13000},
    {"thoughts", API_MESSAGES, "{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":[", "{\"type\":\"thinking\",\"thinking\":\"x\",\"signature\":\"weir1.6.0.1.ab\"}", "]}]}", 18000},
    {"thoughts", API_RESPONSES, "{\"input\":[", "{\"type\":\"reasoning\",\"id\":\"r#\",\"summary\":[],\"encrypted_content\":\"weir1.4.0.0.ab\"}", "]}", 14000},
};

#define CHAT_SAID "{\"id\":\"c\",\"choices\":[{\"index\":0,\"finish_reason\":\"stop\",\"message\":{\"role\":\"assistant\","
#define RESPONSE_SAID "{\"id\":\"r\",\"status\":\"completed\",\"output\":["

static const struct shape replies[] = { /* `client` is the upstream's API */
    {"reply-text", API_CHAT, CHAT_SAID "\"content\":\"", "some words of a long text ", "\"}}]}", MIB(8)},
    {"reply-text-4", API_CHAT, CHAT_SAID "\"content\":\"", "some words of a long text ", "\"}}]}", MIB(4)},
    {"reply-text", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"end_turn\",\"content\":[{\"type\":\"text\",\"text\":\"", "some words of a long text ", "\"}]}", MIB(8)},
    {"reply-text-4", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"end_turn\",\"content\":[{\"type\":\"text\",\"text\":\"", "some words of a long text ", "\"}]}", MIB(4)},
    {"reply-text", API_RESPONSES, RESPONSE_SAID "{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"", "some words of a long text ", "\"}]}]}", MIB(8)},
    {"reply-text-4", API_RESPONSES, RESPONSE_SAID "{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"", "some words of a long text ", "\"}]}]}", MIB(4)},
    {"reply-lines", API_CHAT, CHAT_SAID "\"content\":\"", "a line of \\\"code\\\" of usual length {\\n", "\"}}]}", MIB(8)},
    {"reply-lines-4", API_CHAT, CHAT_SAID "\"content\":\"", "a line of \\\"code\\\" of usual length {\\n", "\"}}]}", MIB(4)},
    {"reply-lines", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"end_turn\",\"content\":[{\"type\":\"text\",\"text\":\"", "a line of \\\"code\\\" of usual length {\\n", "\"}]}", MIB(8)},
    {"reply-lines-4", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"end_turn\",\"content\":[{\"type\":\"text\",\"text\":\"", "a line of \\\"code\\\" of usual length {\\n", "\"}]}", MIB(4)},
    {"reply-arguments", API_CHAT, CHAT_SAID "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "a line of code of usual length {\\\\n", "\\\"}\"}}]}}]}", MIB(8)},
    {"reply-arguments-4", API_CHAT, CHAT_SAID "\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":\\\"", "a line of code of usual length {\\\\n", "\\\"}\"}}]}}]}", MIB(4)},
    {"reply-arguments", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"tool_use\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"", "a line of code of usual length {\\n", "\"}}]}", MIB(8)},
    {"reply-arguments-4", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"tool_use\",\"content\":[{\"type\":\"tool_use\",\"id\":\"c\",\"name\":\"f\",\"input\":{\"a\":\"", "a line of code of usual length {\\n", "\"}}]}", MIB(4)},
    {"reply-calls", API_CHAT, CHAT_SAID "\"tool_calls\":[", "{\"id\":\"c#\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}", "]}}]}", 11900},
    {"reply-calls", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"tool_use\",\"content\":[", "{\"type\":\"tool_use\",\"id\":\"c#\",\"name\":\"f\",\"input\":{}}", "]}", 14500},
    {"reply-calls", API_RESPONSES, RESPONSE_SAID, "{\"type\":\"function_call\",\"call_id\":\"c#\",\"name\":\"f\",\"arguments\":\"{}\"}", "]}", 14500},
    {"reply-texts", API_MESSAGES, "{\"id\":\"m\",\"stop_reason\":\"end_turn\",\"content\":[", "{\"type\":\"text\",\"text\":\"x\"}", "]}", 26000},
    {"reply-texts", API_RESPONSES, RESPONSE_SAID "{\"type\":\"message\",\"content\":[", "{\"type\":\"output_text\",\"text\":\"x\"}", "]}]}", 26000},
    {"reply-choices", API_CHAT, "{\"id\":\"c\",\"choices\":[", "{\"index\":#,\"finish_reason\":\"stop\",\"message\":{\"content\":\"x\"}}", "]}", 14500},
    {"reply-notes", API_CHAT, CHAT_SAID "\"content\":\"x\",\"annotations\":[", "{\"type\":\"url_citation\",\"url_citation\":{\"url\":\"h\",\"title\":\"t\",\"start_index\":0,\"end_index\":1}}", "]}}]}", 9000},
    {"reply-notes", API_RESPONSES, RESPONSE_SAID "{\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"x\",\"annotations\":[", "{\"type\":\"url_citation\",\"url\":\"h\",\"title\":\"t\",\"start_index\":0,\"end_index\":1}", "]}]}]}", 11500},
};

#define DELTA(delta) "data: {\"choices\":[{\"index\":0,\"delta\":{" delta "}}]}\n\n"
#define PART(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"," rest "}\n\n"

static const struct shape streams[] = { /* the pieces of streams; head and tail are whole events */
    {"stream-event", API_CHAT, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"", "some words of a long text ", "\"}}]}\n\n", MIB(8)},
    {"stream-event-4", API_CHAT, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"", "some words of a long text ", "\"}}]}\n\n", MIB(4)},
    {"stream-event", API_MESSAGES, PART("content_block_start", "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}") "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"", "a line of \\\"code\\\" {\\n", "\"}}\n\n", MIB(8)},
    {"stream-event-4", API_MESSAGES, PART("content_block_start", "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}") "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"", "a line of \\\"code\\\" {\\n", "\"}}\n\n", MIB(4)},
    {"stream-words", API_CHAT, "", DELTA("\"content\":\"word \""), "", 100000},
    {"stream-calls", API_CHAT, "", DELTA("\"tool_calls\":[{\"index\":#,\"id\":\"c#\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]"), "", 20000},
    {"stream-calls", API_RESPONSES, "", PART("response.output_item.added", "\"output_index\":#,\"item\":{\"type\":\"function_call\",\"id\":\"f#\",\"call_id\":\"c#\",\"name\":\"f\",\"arguments\":\"\"}"), "", 20000},
    {"stream-calls", API_MESSAGES, "", PART("content_block_start", "\"index\":#,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c#\",\"name\":\"f\",\"input\":{}}"), "", 20000},
    {"stream-choices", API_CHAT, "", "data: {\"choices\":[{\"index\":#,\"delta\":{\"content\":\"x\"}}]}\n\n", "", 20000},
};
/* clang-format on */

static struct text shape_text(const struct shape *s, bool events)
{
    struct text t = {0};

    put(&t, s->head);
    if (!s->n || s->n & MIB(0))
        fill(&t, s->one, (s->n ? MIN((size_t)(s->n & 0xff) << 20, body_max) : body_max) - 512);
    for (unsigned i = 0; !(s->n & MIB(0)) && i < s->n; i++) {
        if (i && !events)
            put(&t, ",");
        put_one(&t, s->one, i);
    }
    put(&t, s->tail);
    return t;
}

/* --- measuring ----------------------------------------------------------------------------------
 */

/* Peak resident bytes since the last call with `reset`. */
static size_t peak_bytes(bool reset)
{
    char text[4096] = "";
    size_t kb = 0;
    int fd =
        open(reset ? "/proc/self/clear_refs" : "/proc/self/status", reset ? O_WRONLY : O_RDONLY);

    if (fd < 0)
        return 0;
    ssize_t n = reset ? write(fd, "5", 1) : read(fd, text, sizeof text - 1);
    (void)close(fd);
    const char *at = n > 0 ? strstr(text, reset ? "" : "VmHWM:") : NULL;
    if (!reset && at && sscanf(at, "VmHWM: %zu", &kb) != 1)
        kb = 0;
    return kb * 1024;
}

static size_t resident_bytes(void)
{
    (void)malloc_trim(0);
    (void)peak_bytes(true);
    return peak_bytes(false);
}

static double ms_since(uint64_t from)
{
    return (double)(clock_mono_ns() - from) / 1e6;
}

struct figures {
    double ms[2];
    size_t peak;
    const char *outcome;
};

static void best(double *at, double ms)
{
    if (*at == 0 || ms < *at)
        *at = ms;
}

static const struct str models[] = {
    [API_CHAT] = STR_INIT("gpt-4o"),
    [API_MESSAGES] = STR_INIT("claude-sonnet-4-5"),
    [API_RESPONSES] = STR_INIT("gpt-5"),
};

static void forget_spares(void)
{
    bufpool_deinit(&pool);
    arena_pool_deinit(&blocks);
}

static void request_once(enum api client, enum api upstream, const struct text *body,
                         struct figures *f)
{
    struct buf text = {0};
    struct jout o = jout_init(&pool, &text);
    struct upstream_model m = {.name = models[upstream],
                               .provider =
                                   upstream == API_MESSAGES ? STR("anthropic") : STR("openai"),
                               .modify_params = true,
                               .drop_params = true};
    struct translate t;
    struct arena a;

    size_t before = resident_bytes();
    o.lend_min = TRANSLATE_LEND_MIN;
    m.can = capability_of(m.provider, m.name, &m.max_output);
    arena_init(&a, &blocks, 1 << 20);
    translate_init(&t, client, upstream, &pool, &blocks, &a);
    uint64_t from = clock_mono_ns();
    bool ok = translate_read(&t, (struct str){body->p, body->n});
    best(&f->ms[0], ms_since(from));
    from = clock_mono_ns();
    ok = ok && translate_write(&t, &o, &m);
    best(&f->ms[1], ms_since(from));
    f->outcome = ok ? "" : t.fault.error == ERROR_OVERLOADED ? " (no room)" : " (refused)";
    size_t peak = peak_bytes(false);
    f->peak = MAX(f->peak, peak - MIN(peak, before));
    jout_deinit(&o);
    buf_free(&pool, &text);
    translate_deinit(&t);
    arena_reset(&a);
    forget_spares();
}

/* The reply whole, or as a stream of FEED bytes a time; ms[0]: the slowest call. */
static void reply_once(enum api client, enum api upstream, const struct text *reply, bool events,
                       struct figures *f)
{
    static struct reply_scan scan;
    struct translate_reply r = {.scan = &scan, .model = STR("\"m\""), .stream = events};
    struct buf out = {0};
    struct translate t;
    struct arena a;
    double slowest = 0;
    bool ok = true;

    size_t before = resident_bytes();
    reply_scan_init(&scan);
    arena_init(&a, &blocks, (size_t)1 << 30);
    translate_init(&t, client, upstream, &pool, &blocks, &a);
    ASSERT(translate_reply_begin(&t, &r));
    uint64_t from = clock_mono_ns(), total = from;
    if (!events)
        ok = translate_whole(&t, (struct str){reply->p, reply->n}, &out);
    slowest = ms_since(from);
    for (size_t at = 0; events && ok && at < reply->n; at += FEED) {
        from = clock_mono_ns();
        ok = translate_events(&t, reply->p + at, MIN((size_t)FEED, reply->n - at), &out);
        slowest = MAX(slowest, ms_since(from));
        out.n = 0; /* sent */
    }
    best(&f->ms[0], slowest);
    best(&f->ms[1], ms_since(total));
    f->outcome = ok ? "" : " (failed)";
    size_t peak = peak_bytes(false);
    f->peak = MAX(f->peak, peak - MIN(peak, before));
    buf_free(&pool, &out);
    translate_deinit(&t);
    arena_reset(&a);
    forget_spares();
}

static const enum api apis[] = {API_CHAT, API_MESSAGES, API_RESPONSES};

static void print_line(const char *name, enum api client, enum api upstream, size_t bytes,
                       const struct figures *f)
{
    printf("%-16s %-9s %-9s %9zu %8.2f %8.2f %6.2f%s\n", name, api_name(client).p,
           api_name(upstream).p, bytes, f->ms[0], f->ms[1], (double)f->peak / (double)bytes,
           f->outcome);
    (void)fflush(stdout);
}

static bool is_wanted(const char *name, char **names, int n)
{
    bool wanted = n == 0;

    for (int i = 0; i < n; i++)
        wanted |= strncmp(name, names[i], strlen(names[i])) == 0;
    return wanted;
}

/* Of what a client sends. */
static void requests(char **names, int n)
{
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        if (!is_wanted(shapes[i].name, names, n))
            continue;
        struct text body = shape_text(&shapes[i], false);
        for (size_t u = 0; u < ARRAY_LEN(apis); u++) {
            struct figures f = {0};
            for (unsigned round = 0; round < ROUNDS; round++)
                request_once(shapes[i].client, apis[u], &body, &f);
            print_line(shapes[i].name, shapes[i].client, apis[u], body.n, &f);
        }
        free(body.p);
    }
}

/* Of what an upstream sends. */
static void answers(const struct shape *rows, size_t n_rows, bool events, char **names, int n)
{
    for (size_t i = 0; i < n_rows; i++) {
        if (!is_wanted(rows[i].name, names, n))
            continue;
        struct text reply = shape_text(&rows[i], events);
        for (size_t c = 0; c < ARRAY_LEN(apis); c++) {
            struct figures f = {0};
            for (unsigned round = 0; round < ROUNDS; round++)
                reply_once(apis[c], rows[i].client, &reply, events, &f);
            print_line(rows[i].name, apis[c], rows[i].client, reply.n, &f);
        }
        free(reply.p);
    }
}

int main(int argc, char **argv)
{
    char **names = argv + 1;
    int n = argc - 1;
    uint32_t mib;

    if (n >= 2 && strcmp(names[0], "--mib") == 0 && num_u32(str_of(names[1]), &mib)) {
        body_max = (size_t)mib << 20;
        names += 2;
        n -= 2;
    }
    printf("%-16s %-9s %-9s %9s %8s %8s %6s\n", "case", "client", "upstream", "bytes", "read ms",
           "write ms", "memory");
    requests(names, n);
    printf("%-16s %-9s %-9s %9s %8s %8s %6s\n", "case", "client", "upstream", "bytes", "stall ms",
           "total ms", "memory");
    answers(replies, ARRAY_LEN(replies), false, names, n);
    answers(streams, ARRAY_LEN(streams), true, names, n);
    return 0;
}
