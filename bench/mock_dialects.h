#pragma once

/*
 * A dialect is its texts. In them $i is the id, $m the model, $n the time of start, $x the text, $c
 * and $t completion and total tokens, $s the stamp, $u the "usage":null that OpenAI adds to the
 * chunks of a stream whose usage was asked for.
 */
struct dialect {
    const char *path; /* the end of the request's path */
    const char *id;   /* prefix of ids */
    const char *answer;
    const char *open, *event, *close; /* NULL: never streamed */
    const char *usage;                /* sent after `close` when asked for */
    const char *done;
};

/* JSON as JSON: the preprocessor adds quotes and backslashes. */
#define JSON(...)     #__VA_ARGS__
#define DATA(...)     "data: " #__VA_ARGS__ "\n\n"
#define NAMED(n, ...) "event: " n "\ndata: " #__VA_ARGS__ "\n\n"

/* clang-format off */
static const struct dialect dialects[] = {
    {.path = "/chat/completions",
     .id = "chatcmpl-",
     .answer = JSON({"id":"$i","object":"chat.completion","created":$n,"model":"$m","choices":[{"index":0,
                     "message":{"role":"assistant","content":"$x","refusal":null},"logprobs":null,
                     "finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":$c,"total_tokens":$t,
                     "prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}},
                     "system_fingerprint":"fp_mock"}),
     .open = "",
     .event = DATA({"id":"$i","object":"chat.completion.chunk","created":$n,"model":"$m","system_fingerprint":"fp_mock",
                    "choices":[{"index":0,"delta":{"role":"assistant","content":"t=$s "},"logprobs":null,
                    "finish_reason":null}]$u}),
     .close = DATA({"id":"$i","object":"chat.completion.chunk","created":$n,"model":"$m","system_fingerprint":"fp_mock",
                    "choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]$u}),
     .usage = DATA({"id":"$i","object":"chat.completion.chunk","created":$n,"model":"$m","system_fingerprint":"fp_mock",
                    "choices":[],"usage":{"prompt_tokens":10,"completion_tokens":$c,"total_tokens":$t}}),
     .done = "data: [DONE]\n\n"},
    {.path = "/completions",
     .id = "cmpl-",
     .answer = JSON({"id":"$i","object":"text_completion","created":$n,"model":"$m","choices":[{"text":"$x","index":0,
                     "logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":$c,
                     "total_tokens":$t}}),
     .open = "",
     .event = DATA({"id":"$i","object":"text_completion","created":$n,"model":"$m","choices":[{"text":"t=$s ","index":0,
                    "logprobs":null,"finish_reason":null}]$u}),
     .close = DATA({"id":"$i","object":"text_completion","created":$n,"model":"$m","choices":[{"text":"","index":0,
                    "logprobs":null,"finish_reason":"stop"}]$u}),
     .usage = DATA({"id":"$i","object":"text_completion","created":$n,"model":"$m","choices":[],
                    "usage":{"prompt_tokens":10,"completion_tokens":$c,"total_tokens":$t}}),
     .done = "data: [DONE]\n\n"},
    {.path = "/responses",
     .id = "resp_",
     .answer = JSON({"id":"$i","object":"response","created_at":$n,"status":"completed","error":null,"model":"$m",
                     "output":[{"type":"message","id":"msg_$i","status":"completed","role":"assistant",
                     "content":[{"type":"output_text","text":"$x","annotations":[]}]}],"usage":{"input_tokens":10,
                     "input_tokens_details":{"cached_tokens":0},"output_tokens":$c,
                     "output_tokens_details":{"reasoning_tokens":0},"total_tokens":$t}}),
     .open = NAMED("response.created",
                   {"type":"response.created","response":{"id":"$i","object":"response","created_at":$n,
                    "status":"in_progress","model":"$m","output":[]}}),
     .event = NAMED("response.output_text.delta",
                    {"type":"response.output_text.delta","item_id":"msg_$i","output_index":0,"content_index":0,
                     "delta":"t=$s "}),
     .close = NAMED("response.completed",
                    {"type":"response.completed","response":{"id":"$i","object":"response","created_at":$n,
                     "status":"completed","model":"$m","output":[],
                     "usage":{"input_tokens":10,"output_tokens":$c,"total_tokens":$t}}}),
     .usage = "",
     .done = ""},
    {.path = "/messages",
     .id = "msg_",
     .answer = JSON({"id":"$i","type":"message","role":"assistant","model":"$m","content":[{"type":"text","text":"$x"}],
                     "stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,
                     "cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":$c,
                     "service_tier":"standard"}}),
     .open = NAMED("message_start",
                   {"type":"message_start","message":{"id":"$i","type":"message","role":"assistant","model":"$m",
                    "content":[],"stop_reason":null,"stop_sequence":null,
                    "usage":{"input_tokens":10,"output_tokens":1}}})
             NAMED("content_block_start",
                   {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}),
     .event = NAMED("content_block_delta",
                    {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"t=$s "}}),
     .close = NAMED("content_block_stop", {"type":"content_block_stop","index":0})
              NAMED("message_delta",
                    {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},
                     "usage":{"output_tokens":$c}})
              NAMED("message_stop", {"type":"message_stop"}),
     .usage = "",
     .done = ""},
    {.path = "/messages/count_tokens", .id = "count_", .answer = JSON({"input_tokens":10})},
    {.path = "/embeddings",
     .id = "emb_",
     .answer = JSON({"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.0023064255,-0.009327292,
                     0.015797347,-0.0077780345,-0.0046922187,0.014833128,-0.008872614,-0.0028842222]}],"model":"$m",
                     "usage":{"prompt_tokens":10,"total_tokens":10}})},
    {.path = "/moderations",
     .id = "modr-",
     .answer = JSON({"id":"$i","model":"$m","results":[{"flagged":false,"categories":{"hate":false},
                     "category_scores":{"hate":0.00001}}]})},
    {.path = "/models",
     .id = "list_",
     .answer = JSON({"object":"list","data":[{"id":"mock-small","object":"model","created":$n,"owned_by":"mock"}]})},
};
/* clang-format on */

static const char error_route[] = JSON({
    "error" :
        {"message" : "no such route", "type" : "mock_error", "param" : null, "code" : "not_found"}
});
static const char error_mocked[] = JSON(
    {"error" : {"message" : "mocked", "type" : "mock_error", "param" : null, "code" : "mocked"}});
