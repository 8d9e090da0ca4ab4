/* Images and documents of a request (wire-formats.md B.3, E.0). */

#include <mbedtls/base64.h>

#include "dialect/anthropic_messages_priv.h"
#include "dialect/messages_beta.h"

static bool is_image_type(struct jstr type)
{
    return str_starts((struct str){type.p, type.n}, STR("image/"));
}

/* PDF goes as it is; what is text goes as text. */
static bool is_text_type(struct jstr type)
{
    static const struct str others[] = {STR_INIT("application/json"), STR_INIT("application/xml"),
                                        STR_INIT("application/javascript"),
                                        STR_INIT("application/x-yaml")};
    struct str plain = {type.p, type.n};

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (str_ieq(plain, others[i]))
            return true;
    return str_starts(plain, STR("text/"));
}

/* By its bytes where its type is not said. */
static struct jstr type_of(const struct block *b)
{
    return b->media_type.n || b->source != MEDIA_BASE64 ? b->media_type : media_sniff(b->text);
}

/* "image_url" of chat holds PDF as well. */
static bool is_document(const struct block *b)
{
    struct jstr type = type_of(b);

    return b->kind == BLOCK_DOCUMENT ? !(b->source == MEDIA_BASE64 && is_image_type(type))
                                     : type.n && !is_image_type(type);
}

enum fate messages_media_fate(struct messages_writing *w, const struct block *b)
{
    struct jstr type = type_of(b);

    if (b->kind != BLOCK_AUDIO && (b->source != MEDIA_BASE64 || !is_document(b) ||
                                   is_text_type(type) || jstr_is(type, STR("application/pdf"))))
        return FATE_WRITE;
    return messages_may_drop(w, "messages") ? FATE_SKIP : FATE_REFUSE;
}

static void put_source(struct messages_writing *w, const char *kind, struct jstr type,
                       const char *member, struct jstr value)
{
    jout_lit(w->o, "\"source\":{\"type\":\"");
    jout_raw(w->o, str_of(kind));
    if (type.n) {
        jout_lit(w->o, "\",\"media_type\":\"");
        jout_text(w->o, type);
    }
    jout_lit(w->o, "\",\"");
    jout_raw(w->o, str_of(member));
    jout_lit(w->o, "\":");
    jout_string(w->o, value);
    jout_lit(w->o, "}");
}

/* The API takes plain text as text, not as base64 (B.3). */
static bool put_text_source(struct messages_writing *w, const struct block *b)
{
    struct str data = jstr_decode(b->text, w->n->arena);
    unsigned char *out = arena_alloc(w->n->arena, data.n + 1);
    size_t n = 0;

    if (!out)
        return false;
    if (mbedtls_base64_decode(out, data.n + 1, &n, (const unsigned char *)data.p, data.n) != 0 ||
        !str_is_utf8((struct str){(char *)out, n})) {
        w->f->param = STR("messages");
        return fault_set(w->f, w->n->arena, ERROR_BAD_FIELD,
                         "messages: a text document is no base64 of UTF-8.");
    }
    put_source(w, "text", JSTR("text/plain"), "data",
               jstr_encode((struct str){(char *)out, n}, w->n->arena));
    return true;
}

bool messages_put_media(struct messages_writing *w, const struct block *b)
{
    bool document = is_document(b);
    struct jstr type = type_of(b);

    jout_raw(w->o, document ? STR("{\"type\":\"document\",") : STR("{\"type\":\"image\","));
    switch ((enum media_source)b->source) {
    case MEDIA_BASE64:
        if (document && is_text_type(type)) {
            if (!put_text_source(w, b))
                return false;
        } else {
            put_source(w, "base64", type.n ? type : JSTR("image/jpeg"), "data", b->text);
        }
        break;
    case MEDIA_URL:
        put_source(w, "url", JSTR_NONE, "url", b->text);
        break;
    case MEDIA_FILE:
        w->n->betas |= BIT(BETA_FILES);
        put_source(w, "file", JSTR_NONE, "file_id", b->text);
        break;
    case MEDIA_TEXT:
        put_source(w, "text", JSTR("text/plain"), "data", b->text);
        break;
    }
    if (document && b->kind == BLOCK_DOCUMENT && b->name.n) {
        jout_lit(w->o, ",\"title\":");
        jout_string(w->o, b->name);
    }
    if (b->kind == BLOCK_DOCUMENT && b->origin == API_MESSAGES && b->citations.n) {
        jout_lit(w->o, ",\"citations\":");
        jout_raw(w->o, b->citations);
    }
    messages_put_cache(w, b->cache);
    jout_lit(w->o, "}");
    return true;
}
