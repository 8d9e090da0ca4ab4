#pragma once

/* A reply on its way to a client, as the targets for streams and for whole replies play it. */

#include "tests/fuzz/translation.h"

enum { REPLY_CHOICE_BYTES = CHOICE_BYTES + 3 };

struct reply_case {
    struct translation_choice choice;
    struct str request, reply;
    bool stream; /* the client wants events */
    uint32_t cut;
};

struct reply_outcome {
    struct buf out;
    bool ok, done, failed, told; /* told: the failure is in `out` */
    uint64_t events;
    struct reply_scan scan;
};

/* What clients of each API ask, so that there are tools to rename, to wrap and to find again. */
static inline struct str reply_request(enum api client)
{
    if (client == API_MESSAGES)
        return STR("{\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],"
                   "\"tools\":[{\"name\":\"a\",\"input_schema\":{\"type\":\"object\"}},"
                   "{\"name\":\"a tool with blanks\",\"input_schema\":{\"type\":\"object\"}}]}");
    if (client == API_RESPONSES)
        return STR("{\"input\":\"x\",\"tools\":[{\"type\":\"custom\",\"name\":\"a\"},{\"type\":"
                   "\"namespace\",\"name\":\"n\",\"tools\":[{\"type\":\"function\",\"name\":\"b\"}]"
                   "}],\"metadata\":{\"a\":\n1}}");
    if (client == API_COMPLETIONS)
        return STR("{\"prompt\":\"x\"}");
    return STR("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream_options\":{"
               "\"include_usage\":true},\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":"
               "\"a\"}},{\"type\":\"function\",\"function\":{\"name\":\"b b\"}}]}");
}

/* Choices, then a request on a line of its own where it begins with a brace, then the reply. */
static inline struct reply_case reply_case_of(const uint8_t *data, size_t n)
{
    struct str all = {(const char *)data + REPLY_CHOICE_BYTES, n - REPLY_CHOICE_BYTES}, line, rest;
    const uint8_t *more = data + CHOICE_BYTES;
    struct reply_case c = {
        .choice = translation_choose(data),
        .stream = more[0] & 1,
        .cut = more[1] | (uint32_t)more[2] << 8,
    };

    c.request = reply_request(c.choice.client);
    c.reply = all;
    if (more[0] & 2 && str_cut(all, '\n', &line, &rest)) {
        c.request = line;
        c.reply = rest;
    }
    return c;
}

static inline bool reply_ask(const struct reply_case *c, struct translate *t, struct bufpool *pool,
                             struct str request)
{
    struct upstream_model m = c->choice.model;
    struct buf body = {0};
    struct jout o = jout_init(pool, &body);
    bool ok = translate_read(t, request) && translate_write(t, &o, &m);

    jout_deinit(&o);
    buf_free(pool, &body);
    return ok;
}

/* `step` bytes at a time; 0: c->cut, then the rest. False: there is no such request. */
static inline bool reply_play(const struct reply_case *c, struct bufpool *pool,
                              struct arena_pool *blocks, bool whole, size_t step,
                              struct reply_outcome *o)
{
    struct translate t;
    struct arena a;
    struct translate_reply r = {
        .scan = &o->scan, .model = STR("\"m\""), .now_s = 1, .seed = {3, 4}, .stream = c->stream};

    *o = (struct reply_outcome){0};
    reply_scan_init(&o->scan);
    arena_init(&a, blocks, 64 << 20);
    translate_init(&t, c->choice.client, c->choice.upstream, pool, blocks, &a);
    char *request = malloc(c->request.n + 1); /* gone once it was sent */
    ASSERT(request);
    memcpy(request, c->request.p, c->request.n);
    bool asked = reply_ask(c, &t, pool, (struct str){request, c->request.n});
    if (asked) {
        ASSERT(translate_reply_begin(&t, &r));
        translate_forget(&t);
    }
    free(request);
    if (asked && whole) {
        o->ok = translate_whole(&t, c->reply, &o->out);
    } else if (asked) {
        size_t next = step ? step : c->reply.n ? c->cut % c->reply.n : 0;
        o->ok = true;
        for (size_t at = 0; o->ok && at < c->reply.n; next = step ? step : c->reply.n) {
            size_t n = MIN(next, c->reply.n - at);
            char *piece = malloc(n + !n);
            ASSERT(piece);
            memcpy(piece, c->reply.p + at, n);
            o->ok = translate_events(&t, piece, n, &o->out);
            free(piece);
            at += n;
        }
        o->ok = o->ok && translate_events_end(&t, &o->out);
    }
    o->done = t.done;
    o->failed = t.failed;
    o->events = t.events;
    ASSERT(arena_ok(&a) && !(t.out.failed && o->ok));
    ASSERT(!t.first_failed || !o->out.n);
    o->told = o->failed && !t.first_failed;
    if (asked && c->stream && o->out.n && !o->done && !o->failed) { /* as the client hears it */
        struct error_facts f = {.status = 502, .message = STR("cut"), .type = STR("t")};
        translate_error(&t, &f, &o->out);
        o->told = true;
    }
    translate_deinit(&t);
    arena_reset(&a);
    return asked;
}

static inline void reply_judge(const struct reply_case *c, const struct reply_outcome *o)
{
    size_t at = 0;
    struct str out = {o->out.p, o->out.n};
    const char *broken = NULL;

    if (c->stream && out.n)
        broken =
            protocol_check(c->choice.client, out, o->told ? PROTOCOL_FAILED : PROTOCOL_DONE, &at);
    else if (!c->stream && o->done)
        broken = protocol_check_whole(c->choice.client, out);
    if (!broken)
        return;
    (void)fprintf(stderr, "%.*s\n<- %.*s\nat %zu of %.*s\nbroken: %s\n",
                  STR_ARG(api_name(c->choice.client)), STR_ARG(api_name(c->choice.upstream)), at,
                  STR_ARG(out), broken);
    ASSERT(!broken);
}
