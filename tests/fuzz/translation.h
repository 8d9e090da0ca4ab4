#pragma once

/* What the targets of the translator share: a request chosen by a few bytes. */

#include "dialect/translate.h"
#include "tests/support/protocol.h"

enum { CHOICE_BYTES = 6 };

struct translation_choice {
    enum api client, upstream;
    struct upstream_model model;
    size_t lend_min;
    bool from_model; /* bits of the model's own, not of the bytes */
};

static inline struct translation_choice translation_choose(const uint8_t *c)
{
    static const enum api clients[] = {API_CHAT, API_MESSAGES, API_RESPONSES, API_COMPLETIONS};
    static const enum api upstreams[] = {API_CHAT, API_MESSAGES, API_RESPONSES};
    static const struct str models[] = {STR_INIT("gpt-4o"), STR_INIT("claude-sonnet-4-5"),
                                        STR_INIT("gpt-5"), STR_INIT("a\"\\\n\x01")};
    struct translation_choice t = {
        .client = clients[c[0] % 4],
        .upstream = upstreams[c[0] / 4 % 3],
        .lend_min = c[5] & 4 ? 1 + c[0] : SIZE_MAX,
        .model =
            {
                .name = models[c[4] % 4],
                .provider = STR("openai"),
                .can = c[1] | (uint32_t)c[2] << 8 | (uint32_t)(c[3] & 3) << 16,
                .max_output = c[5] & 1 ? 8192 : 0,
                .stream = c[3] & 4,
                .stream_usage = c[3] & 8,
                .modify_params = c[3] & 16,
                .drop_params = c[3] & 32,
                .in_path = c[3] & 64,
            },
    };

    if (c[3] & 128)
        t.model.can = capability_of(t.upstream == API_MESSAGES ? STR("anthropic") : STR("openai"),
                                    t.model.name, &t.model.max_output);
    return t;
}

/* What is sent: the text with its holes filled. */
static inline void translation_fill(struct bufpool *pool, const struct jout *o, struct buf *out)
{
    const struct jout_hole *hole = (const struct jout_hole *)(const void *)o->holes.p;
    size_t at = 0;

    for (size_t i = 0; i < o->holes.n / sizeof *hole; i++) {
        ASSERT(hole[i].at >= at && hole[i].at <= o->buf->n);
        ASSERT(buf_add(pool, out, o->buf->p + at, hole[i].at - at));
        ASSERT(buf_add(pool, out, hole[i].text.p, hole[i].text.n));
        at = hole[i].at;
    }
    ASSERT(buf_add(pool, out, o->buf->p + at, o->buf->n - at));
}
