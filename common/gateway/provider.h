#pragma once

/* The providers of providers.def, and how a model's name says which one is meant. */

#include "common/str.h"

/* Who builds the upstream request: one adapter each for a wire and its way of addressing. */
#define PROVIDER_ADAPTERS(X)                                                                       \
    X(OPENAI)                                                                                      \
    X(ANTHROPIC)                                                                                   \
    X(AZURE)                                                                                       \
    X(AZURE_AI)                                                                                    \
    X(BEDROCK)                                                                                     \
    X(CLOUDFLARE)                                                                                  \
    X(COHERE)                                                                                      \
    X(GEMINI)                                                                                      \
    X(OCI)                                                                                         \
    X(OLLAMA)                                                                                      \
    X(REPLICATE)                                                                                   \
    X(SAGEMAKER)                                                                                   \
    X(SAP)                                                                                         \
    X(VERTEX)                                                                                      \
    X(WATSONX)                                                                                     \
    X(OTHER)

enum provider_adapter {
#define X(id) ADAPTER_##id,
    PROVIDER_ADAPTERS(X)
#undef X
};

enum provider_auth {
    AUTH_KEYLESS, /* nothing is sent */
    AUTH_BEARER,  /* Authorization: Bearer KEY; arg: sent when no key is configured */
    AUTH_SCHEME,  /* Authorization: <arg> KEY */
    AUTH_HEADER,  /* <arg>: KEY */
    AUTH_QUERY,   /* ?<arg>=KEY */
    AUTH_SIGV4,   /* AWS signature */
    AUTH_GOOGLE,  /* Google OAuth token */
    AUTH_IBM,     /* IBM IAM token */
    AUTH_OTHER,   /* a sign-in of its own */
};

#define PROVIDER_ENDPOINTS(X)                                                                      \
    X(CHAT, "chat")                                                                                \
    X(COMPLETIONS, "completions")                                                                  \
    X(EMBEDDINGS, "embeddings")                                                                    \
    X(MODERATIONS, "moderations")                                                                  \
    X(MESSAGES, "messages")                                                                        \
    X(RESPONSES, "responses")                                                                      \
    X(INPUT_TOKENS, "input_tokens")                                                                \
    X(IMAGES, "images")                                                                            \
    X(AUDIO_TRANSCRIPTION, "audio_transcription")                                                  \
    X(AUDIO_SPEECH, "audio_speech")                                                                \
    X(RERANK, "rerank")                                                                            \
    X(BATCHES, "batches")                                                                          \
    X(FILES, "files")                                                                              \
    X(FINE_TUNING, "fine_tuning")                                                                  \
    X(OCR, "ocr")                                                                                  \
    X(REALTIME, "realtime")                                                                        \
    X(SEARCH, "search")                                                                            \
    X(VECTOR_STORES, "vector_stores")                                                              \
    X(VIDEO, "video")

enum provider_endpoint {
#define X(id, name) ENDPOINT_##id,
    PROVIDER_ENDPOINTS(X)
#undef X
        ENDPOINT_COUNT,
};

enum provider_framing {
    FRAMING_NONE,
    FRAMING_SSE_OPENAI,
    FRAMING_SSE_ANTHROPIC,
    FRAMING_SSE_GEMINI,
    FRAMING_SSE_COHERE,
    FRAMING_SSE_RESPONSES,
    FRAMING_SSE_OTHER,
    FRAMING_AWS_EVENTSTREAM,
    FRAMING_NDJSON,
    FRAMING_RAW_TEXT,
    FRAMING_BINARY,
    FRAMING_POLL,
    FRAMING_GRPC,
    FRAMING_FAKE, /* the upstream has no stream */
};

struct provider { /* columns: providers.def */
    struct str id, name;
    enum provider_adapter adapter;
    enum provider_auth auth;
    struct str auth_arg;
    struct str base, path;
    struct str keys, bases; /* variables, separated by blanks */
    uint32_t endpoints;     /* BIT(enum provider_endpoint) */
    enum provider_framing framing;
    struct str quirks;
};

size_t provider_count(void);
const struct provider *provider_at(size_t i); /* in byte order of the id */

/* Its dialect is one this build speaks, and the way to sign in one it knows. */
bool provider_is_spoken(const struct provider *p);

/* NULL when unknown. */
const struct provider *provider_find(struct str id);

/* The provider that a configured base belongs to when its host is a known one, else NULL. */
const struct provider *provider_of_base(struct str api_base);

/*
 * Says which provider "provider/name" or a bare name means (providers.md section 3: known prefix,
 * its special cases, host of `api_base`, price map, families of names) and the name without the
 * prefix, which borrows from `model`. NULL: nothing matched, *ret_name is all of `model`.
 */
const struct provider *provider_split(struct str model, struct str api_base, struct str *ret_name);

/* "chat" of ENDPOINT_CHAT. */
struct str provider_endpoint_name(enum provider_endpoint e);

/* The first blank-separated word of *list, which moves on; false at its end. */
bool provider_next_word(struct str *list, struct str *ret_word);
