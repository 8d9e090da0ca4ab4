/* What stands beside a text: citations, in whose words they ever come, and logprobs. */

#include "dialect/openai_responses_priv.h"

/* Characters of the text part so far: each byte that begins one, each escape once, of a surrogate
 * pair the first. */
static uint64_t characters(struct responses_writer *w, const struct responses_out *o)
{
    const char *p = o->json.p + w->counted_at, *end = o->json.p + o->json.n;

    while (p < end) {
        bool is_escape = *p == '\\' && end - p > 1, is_unit = is_escape && p[1] == 'u';
        bool is_low = is_unit && end - p > 5 && char_lower(p[2]) == 'd' && char_lower(p[3]) >= 'c';
        w->characters += is_escape ? !is_low : ((unsigned char)*p & 0xc0) != 0x80;
        p += is_unit ? MIN(6, end - p) : is_escape ? 2 : 1;
    }
    w->counted_at = o->json.n;
    return w->characters;
}

/* {"type":"url_citation",...} of the members at `v`; what it lacks of indices is the whole part. */
static void note_put(struct responses_writer *w, struct responses_out *o, struct jout *out,
                     const struct json_tape *t, const struct json_val *v)
{
    const struct json_val *from = JSON_GET(t, v, "start_index"), *to = JSON_GET(t, v, "end_index");

    jout_lit(out, "{\"type\":\"url_citation\",\"url\":");
    jout_string(out, json_text(t, JSON_GET(t, v, "url")));
    jout_lit(out, ",\"title\":");
    jout_string(out, json_text(t, JSON_GET(t, v, "title")));
    jout_lit(out, ",\"start_index\":");
    jout_raw(out, json_has_type(from, JSON_NUMBER) ? json_raw(t, from) : STR("0"));
    jout_lit(out, ",\"end_index\":");
    if (json_has_type(to, JSON_NUMBER))
        jout_raw(out, json_raw(t, to));
    else
        jout_u64(out, characters(w, o));
    jout_lit(out, "}");
}

/* A citation in the words of this API, at the end of `notes`; false: it has none for it. */
static bool note_add(struct responses_writer *w, struct responses_out *o, const struct event *e)
{
    struct jout out = jout_init(w->pool, &w->notes);
    struct json_tape t;
    const struct json_val *v;
    bool ok = true;

    if (e->origin == API_RESPONSES) {
        jout_raw(&out, e->raw);
        return !out.failed;
    }
    json_tape_init(&t, w->pool);
    ok = json_tape_read(&t, e->raw.p, e->raw.n) == JSON_TAPE_DONE;
    v = ok ? json_root(&t) : NULL;
    if (ok && JSON_GET(&t, v, "url_citation"))
        v = JSON_GET(&t, v, "url_citation");
    ok = ok && json_text(&t, JSON_GET(&t, v, "url")).n;
    if (ok)
        note_put(w, o, &out, &t, v);
    json_tape_deinit(&t);
    return ok && !out.failed;
}

void responses_item_note(struct responses_writer *w, const struct event *e)
{
    struct responses_out *o = responses_out_part(w, e->block);
    size_t from = w->notes.n;

    if (!o || o->part_kind != BLOCK_TEXT)
        return;
    if (from)
        responses_out_put(w, &w->notes, STR(","));
    size_t at = w->notes.n;
    if (!note_add(w, o, e)) {
        w->notes.n = from;
        return;
    }
    if (responses_out_event(w, o, STR("response.output_text.annotation.added"))) {
        responses_out_number(w, STR(",\"annotation_index\":"), o->notes++);
        jout_lit(w->env.out, ",\"annotation\":");
        jout_raw(w->env.out, (struct str){w->notes.p + at, w->notes.n - at});
        responses_event_end(w);
    }
}

/* Of the delta before: they come behind it, with no text of their own. */
void responses_item_logprobs(struct responses_writer *w, const struct event *e)
{
    struct responses_out *o = responses_out_part(w, e->block);
    struct str list = e->raw.n > 2 ? (struct str){e->raw.p + 1, e->raw.n - 2} : (struct str){0};
    struct jout kept_list = jout_init(w->pool, &w->logprobs);

    if (!o || o->part_kind != BLOCK_TEXT || !list.n)
        return;
    if (w->logprobs.n)
        responses_out_put(w, &w->logprobs, STR(","));
    jout_raw(&kept_list, list);
    if (responses_out_event(w, o, STR("response.output_text.delta"))) {
        jout_lit(w->env.out, ",\"delta\":\"\",\"logprobs\":");
        jout_raw(w->env.out, e->raw);
        responses_event_end(w);
    }
}
