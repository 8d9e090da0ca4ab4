#pragma once

/*
 * Models and what they cost: the compiled-in table (prices.def) and LiteLLM's JSON price map, and
 * the order in which names of one model are tried (providers.md section 8, litellm-dataplane.md
 * 9.2).
 */

#include "common/gateway/price.h"

#define PRICE_MODES(X)                                                                             \
    X(UNKNOWN, "")                                                                                 \
    X(CHAT, "chat")                                                                                \
    X(COMPLETION, "completion")                                                                    \
    X(EMBEDDING, "embedding")                                                                      \
    X(MODERATION, "moderation")                                                                    \
    X(RESPONSES, "responses")                                                                      \
    X(AUDIO_SPEECH, "audio_speech")                                                                \
    X(AUDIO_TRANSCRIPTION, "audio_transcription")                                                  \
    X(IMAGE_EDIT, "image_edit")                                                                    \
    X(IMAGE_GENERATION, "image_generation")                                                        \
    X(OCR, "ocr")                                                                                  \
    X(REALTIME, "realtime")                                                                        \
    X(RERANK, "rerank")                                                                            \
    X(SEARCH, "search")                                                                            \
    X(VIDEO_GENERATION, "video_generation")

enum price_mode {
#define X(id, name) PRICE_MODE_##id,
    PRICE_MODES(X)
#undef X
        PRICE_MODE_COUNT,
};

/* Bits of priced_model.features; a bit that is not set means not stated. */
#define PRICE_FEATURES(X)                                                                          \
    X(VISION, "supports_vision")                                                                   \
    X(TOOLS, "supports_function_calling")                                                          \
    X(JSON_SCHEMA, "supports_response_schema")                                                     \
    X(REASONING, "supports_reasoning")                                                             \
    X(PROMPT_CACHING, "supports_prompt_caching")                                                   \
    X(AUDIO_IN, "supports_audio_input")                                                            \
    X(AUDIO_OUT, "supports_audio_output")                                                          \
    X(PDF, "supports_pdf_input")                                                                   \
    X(PARALLEL_TOOLS, "supports_parallel_function_calling")                                        \
    X(VIDEO_IN, "supports_video_input")                                                            \
    X(SYSTEM_MESSAGES, "supports_system_messages")                                                 \
    X(TOOL_CHOICE, "supports_tool_choice")                                                         \
    X(WEB_SEARCH, "supports_web_search")                                                           \
    X(URL_CONTEXT, "supports_url_context")                                                         \
    X(COMPUTER_USE, "supports_computer_use")                                                       \
    X(ASSISTANT_PREFILL, "supports_assistant_prefill")                                             \
    X(NATIVE_STREAMING, "supports_native_streaming")

enum price_feature {
#define X(id, name) PRICE_FEATURE_##id,
    PRICE_FEATURES(X)
#undef X
        PRICE_FEATURE_COUNT,
};

/* "chat" of PRICE_MODE_CHAT; "supports_vision" of PRICE_FEATURE_VISION. */
struct str price_mode_name(enum price_mode m);
struct str price_feature_name(enum price_feature f);

struct priced_model {
    struct str name, provider; /* borrowed from the table; provider as in providers.def */
    enum price_mode mode;
    uint32_t features; /* BIT(enum price_feature) */
    struct price price;
};

struct price_map;

/*
 * Gives the map read from a file in LiteLLM's format (one JSON object, a key per model). Values
 * that are not understood are left out; a price that is no number >= 0 refuses the file
 * (ERRC_INVALID naming model and field), so does a file over 16 MiB (ERRC_LIMIT). ERRC_SYS when it
 * cannot be read.
 */
MUST_CHECK enum errc price_map_load(struct price_map **ret_map, const char *path, struct err *e);

/* The same from `json` in memory. */
MUST_CHECK enum errc price_map_parse(struct price_map **ret_map, struct str json, struct err *e);

struct price_map *price_map_free(struct price_map *m);
DEFINE_AUTO_FREE(price_map)

/* NULL is the compiled-in table, here and below. Rows are in byte order of the name. */
size_t price_map_count(const struct price_map *m);
void price_map_row(const struct price_map *m, size_t i, struct priced_model *ret);

/* The row of exactly this name. */
bool price_map_get(const struct price_map *m, struct str name, struct priced_model *ret);

/* Looks a name up and keeps what it found in `ctx`; false lets the next name be tried. */
typedef bool (*price_get_fn)(void *ctx, struct str name);

/*
 * Calls `get` with the names under which a model of `provider` (id, or empty) may be priced until
 * one is found: below the provider's prefix, then without it, each time as it is, without a
 * region ("us.", "eu/"), without a version ("@001") or date, without both. `name` is what goes
 * upstream or litellm_params.model or model_info.base_model. No allocation; names are valid during
 * the call.
 */
bool price_lookup(struct str provider, struct str name, price_get_fn get, void *ctx);

/* The same in `m`, and then in the compiled-in table. */
bool price_map_find(const struct price_map *m, struct str provider, struct str name,
                    struct priced_model *ret);
