#pragma once

/*
 * One generation: an immutable file in a sealed memfd (F_SEAL_WRITE, GROW, SHRINK, SEAL), built by
 * the link, mapped read-only by workers. Offsets instead of pointers, fixed-width fields, natural
 * alignment. The layout is private to one build: link and worker of one version only (SNAP_VERSION
 * changes with any change here). It holds credentials: never written to disk in the clear, mapped
 * with MADV_DONTDUMP.
 */

#include "common/base.h"
#include "common/gateway/api.h"
#include "common/gateway/price.h"
#include "common/gateway/via.h"

#define SNAP_MAGIC UINT64_C(0x314e455252494557) /* "WEIRREN1", little endian */
enum { SNAP_VERSION = 11, SNAP_NONE = 0xffffffff };

/* Bytes [off, off+n) of the file, or n elements of an array at off. {0,0}: empty. */
struct snap_ref {
    uint32_t off, n;
};

enum snap_name_kind {
    SNAP_NAME_GROUP,      /* a group, or an alias of one */
    SNAP_NAME_DEPLOYMENT, /* a deployment, by its id or an alias of that */
    SNAP_NAME_ALIAS,      /* of `alias_of`, which a pattern matches */
    SNAP_NAME_UPSTREAM,   /* litellm_params.model of a deployment: holds when nothing else does */
    SNAP_NAME_LISTED,     /* what a pattern stands for, in listings only: not in the index */
};

/* A name a client may put in "model": group, alias (a name of another group), deployment id. */
struct snap_name {
    struct snap_ref name;
    struct snap_ref alias_of; /* SNAP_NAME_ALIAS */
    uint32_t kind;            /* enum snap_name_kind */
    uint32_t target;          /* index of the group or deployment */
    uint32_t listed;          /* shown by /models */
    uint32_t hash;            /* snap_hash(name) */
};

/* A wildcard model_name, in match order: most specific first, "*" last. */
struct snap_pattern {
    struct snap_ref pattern; /* with '*' */
    uint32_t group;
    uint32_t reserved;
};

struct snap_member {
    uint32_t deployment;
    uint32_t weight; /* for simple-shuffle: weight, else rpm, else tpm, else 1; never 0 */
};

enum snap_group_flags {
    SNAP_GROUP_FREE = BIT(0), /* every deployment's prices are stated, and 0: no budget is asked */
};

struct snap_group {
    struct snap_ref name;
    struct snap_ref members;       /* struct snap_member[] */
    struct snap_ref info_json;     /* entry of /model_group/info */
    struct snap_ref access_groups; /* struct snap_ref[]: model_info.access_groups of its members */
    uint32_t num_retries;          /* SNAP_NONE: the router's */
    uint32_t flags;                /* enum snap_group_flags */
};

struct snap_path {
    struct snap_ref before, after;
};

struct snap_edit {
    uint32_t op;   /* enum edit_op */
    uint32_t apis; /* BIT(enum api) */
    struct snap_ref a, b, c, when_model;
    uint32_t has, lacks; /* enum capability, bits */
    uint16_t side;       /* enum edit_side */
    uint16_t only_while; /* enum edit_while */
};

enum snap_deployment_flags {
    SNAP_MODEL_IN_PATH = BIT(0),
    SNAP_STREAM_USAGE = BIT(1), /* include_usage may be injected */
    SNAP_WILDCARD = BIT(2),     /* `model` holds '*' to be filled with what the pattern captured */
    SNAP_DROP_PARAMS = BIT(3),
    SNAP_MOCK = BIT(4),   /* answered here with mock_response */
    SNAP_PRICED = BIT(5), /* `price` is configured or found; else look `model` up (wildcards) */
    SNAP_MODIFY_PARAMS = BIT(7),
    SNAP_OF_OPENAI = BIT(8), /* OpenAI or Azure themselves, not a server that speaks like them */
    SNAP_NO_KEY = BIT(6),    /* the credential the provider needs is not configured: 401 */
};

struct snap_deployment {
    struct snap_ref id;            /* model_info.id */
    struct snap_ref group;         /* model_name */
    struct snap_ref provider;      /* "openai" */
    struct snap_ref litellm_model; /* litellm_params.model */
    struct snap_ref model;         /* sent upstream */
    struct snap_ref api_base;      /* for x-litellm-model-api-base */
    struct snap_ref headers;       /* header lines with CR LF; holds the credential */
    struct snap_path path[API_COUNT];
    struct snap_ref edits;       /* struct snap_edit[] */
    struct snap_ref unsupported; /* 501 with this text */
    struct snap_ref missing_key; /* names of the variables looked for, with SNAP_NO_KEY */
    struct snap_ref mock_response;
    struct snap_ref info_json;  /* entry of /v1/model/info, secrets removed */
    struct snap_ref base_model; /* price key, for records */
    struct price price;
    uint32_t dialect;           /* enum dialect */
    uint32_t flags;             /* enum snap_deployment_flags */
    uint32_t origin;            /* index; SNAP_NONE with SNAP_MOCK or unsupported */
    uint32_t slot;              /* of shared counters; stable over generations for the same id */
    uint32_t timeout_ms;        /* whole call; resolved through params, router, settings; 0: none */
    uint32_t stream_timeout_ms; /* first byte and silence of streams; resolved likewise */
    uint32_t num_retries;       /* SNAP_NONE: the group's or router's */
    uint32_t mode;              /* enum snap_mode, selects the health probe */
    uint32_t can;        /* enum capability, bits; of a wildcard: those model_info says it has */
    uint32_t cannot;     /* of a wildcard: those model_info says it lacks */
    uint32_t max_output; /* asked for where an API demands it; 0: not known, or a wildcard's */
    uint32_t by_can;     /* BIT(enum api): bodies with edits that ask what the model can */
    uint8_t via[VIA_KINDS][API_COUNT]; /* enum api spoken upstream for a client's, API_COUNT: none;
                                          by what the model is: snap_via() */
    uint8_t kind; /* enum via_kind; of a wildcard: where the price map does not know the model */
    uint8_t reserved[2];
};

enum snap_mode {
    SNAP_MODE_CHAT,
    SNAP_MODE_COMPLETION,
    SNAP_MODE_EMBEDDING,
    SNAP_MODE_MODERATION,
    SNAP_MODE_RESPONSES,
    SNAP_MODE_OTHER
};

enum snap_origin_flags {
    SNAP_ORIGIN_TLS = BIT(0),
    SNAP_ORIGIN_NO_VERIFY = BIT(1), /* ssl_verify: false */
    SNAP_ORIGIN_PRIVATE_OK =
        BIT(2), /* api_base came from the config file: private and loopback addresses allowed */
    SNAP_ORIGIN_ADMIN = BIT(3), /* the control plane: no deployment shares its connections */
};

/* A scheme, host and port with everything that makes its connections interchangeable (threats
 * T-07). */
struct snap_origin {
    struct snap_ref host;
    struct snap_ref ca;         /* PEM; SNAP_ORIGIN_TLS without it: settings.ca */
    struct snap_ref proxy_host; /* CONNECT through this proxy; empty: direct */
    struct snap_ref proxy_auth; /* value of Proxy-Authorization, or empty */
    uint16_t port, proxy_port;
    uint32_t flags;           /* enum snap_origin_flags */
    uint32_t slot;            /* of shared connection counts; stable over generations */
    uint32_t max_connections; /* over all workers */
};

struct snap_priced_model { /* the price map, for wildcard deployments and records */
    struct snap_ref name;
    uint32_t hash;
    uint32_t mode;     /* enum price_mode */
    uint32_t features; /* BIT(enum price_feature) */
    uint32_t reserved;
    struct price price;
};

enum snap_setting_flags {
    SNAP_HAS_MASTER_KEY = BIT(0),
    SNAP_ALWAYS_STREAM_USAGE =
        BIT(1), /* always_include_stream_usage: true: the usage chunk reaches every client */
    SNAP_NEVER_STREAM_USAGE = BIT(2),     /* ... false: nothing is injected */
    SNAP_METRICS_AUTH = BIT(3),           /* require_auth_for_metrics_endpoint */
    SNAP_FORWARD_CLIENT_HEADERS = BIT(5), /* forward_client_headers_to_llm_api */
    SNAP_FORWARD_OPENAI_ORG = BIT(6),
    SNAP_FORCE_IPV4 = BIT(7),
    SNAP_RAW_MODEL_NAME = BIT(9), /* return_raw_model_name */
    SNAP_HEALTH_DETAILS = BIT(11),
    SNAP_DISABLE_LLM_ROUTES = BIT(12),       /* DISABLE_LLM_API_ENDPOINTS */
    SNAP_ENFORCE_USER = BIT(13),             /* enforce_user_param */
    SNAP_REJECT_CLIENT_TAGS = BIT(14),       /* reject_clientside_metadata_tags */
    SNAP_USER_BUDGET_OF_TEAM_KEYS = BIT(15), /* apply_user_budget_to_team_keys */
    SNAP_FORWARDED_FOR = BIT(16),            /* use_x_forwarded_for */
    SNAP_LIMIT_INPUT = BIT(17),              /* token_rate_limit_type: input */
    SNAP_LIMIT_OUTPUT = BIT(18),             /* ... output; neither: total */
    SNAP_UNMANAGED_RESPONSES = BIT(19),      /* allow_unmanaged_response_ids */
    SNAP_TRANSCRIPTS = BIT(20),   /* store_prompts_in_spend_logs, and somebody takes them */
    SNAP_REDACT = BIT(21),        /* turn_off_message_logging */
    SNAP_IGNORE_NO_LOG = BIT(22), /* global_disable_no_log_param */
    SNAP_BINDS_ALL = BIT(31), /* some check or limit holds for the master key too (binds_all()) */
};

struct snap_settings {
    struct snap_ref master_key;
    struct snap_ref
        host; /* address to listen on; empty: 0.0.0.0, or 127.0.0.1 without a master key */
    struct snap_ref ca;               /* PEM of the trusted authorities */
    struct snap_ref response_key;     /* seals response ids (dialect/response_id.h); empty: none */
    struct snap_ref key_header;       /* litellm_key_header_name, lower case */
    struct snap_ref server_root_path; /* SERVER_ROOT_PATH without trailing slash */
    struct snap_ref access_log;       /* path; "-": standard output; "off" */
    struct snap_ref admin_host;       /* the control plane's: value of Host */
    struct snap_ref admin_path;       /* ... and what stands before each path */
    struct snap_ref nameservers;      /* "1.2.3.4,..." for c-ares; empty: resolv.conf */
    struct snap_ref
        default_model[API_COUNT]; /* completion_model, embedding_model ...: forced name, or empty */
    /* struct snap_ref[] each */
    struct snap_ref allowed_ips, allowed_routes, admin_routes;
    struct snap_ref enforced_params, service_params; /* of service accounts, beside the others */
    struct snap_ref end_user_budget;                 /* max_end_user_budget_id */
    struct snap_ref end_user_headers; /* lower case: user_header_mappings, user_header_name */
    int64_t max_budget_nusd, max_end_user_budget_nusd; /* -1: none */
    uint32_t flags;                                    /* enum snap_setting_flags */
    uint32_t num_retries;                              /* router */
    uint32_t retry_after_ms;                           /* router: minimum wait */
    uint32_t keepalive_ping_ms; /* SSE comments while the upstream is silent; 0: none */
    uint32_t max_stream_ms;     /* LITELLM_MAX_STREAMING_DURATION_SECONDS; 0: none */
    uint32_t connect_timeout_ms, tls_timeout_ms;
    uint32_t header_timeout_ms, body_timeout_ms, idle_timeout_ms,
        write_timeout_ms;      /* client side */
    uint32_t upstream_idle_ms; /* keep-alive of idle upstream connections */
    uint32_t drain_ms;         /* TERM: finish within */
    uint32_t max_connections;  /* per worker */
    uint32_t
        workers; /* weir.workers; 0: what the cgroup allows. --num_workers and NUM_WORKERS win */
    uint32_t health_probe_timeout_ms;
    uint32_t port;                /* to listen on */
    uint32_t limit_window_s;      /* of requests and tokens */
    uint32_t throttle_millionths; /* budget_exceeded_throttle_percentage; 0: none */
    uint32_t reserved;
    uint32_t global_parallel;      /* requests at once over all workers; 0: any */
    uint32_t admin_origin;         /* index of origins; SNAP_NONE: nothing is forwarded */
    uint64_t max_body_bytes;       /* of one request */
    uint64_t max_inflight_bytes;   /* bodies held per worker */
    uint64_t response_store_bytes; /* responses kept per worker; 0: none */
    uint64_t spool_max_bytes;
    uint32_t client_gone_drains;   /* read on for nobody, at once and per worker; 0: cancelled */
    uint32_t transcript_max_bytes; /* of a body, and of a reply */
};

struct snap_header {
    uint64_t magic;
    uint32_t version, header_size;
    uint64_t total_size;
    uint64_t generation;         /* grows by one with each build of one link */
    int64_t built_us;            /* wall clock */
    struct snap_ref config_hash; /* hex SHA-256 of the merged configuration */
    struct snap_settings settings;
    struct snap_ref names; /* struct snap_name[], in listing order */
    struct snap_ref
        name_index; /* uint32_t[], size a power of two, open addressing by hash, SNAP_NONE: free */
    struct snap_ref patterns;    /* struct snap_pattern[] */
    struct snap_ref groups;      /* struct snap_group[] */
    struct snap_ref deployments; /* struct snap_deployment[] */
    struct snap_ref origins;     /* struct snap_origin[] */
    struct snap_ref prices;      /* struct snap_priced_model[] */
    struct snap_ref price_index; /* as name_index */
};

static_assert(sizeof(struct snap_ref) == 8, "layout");
static_assert(sizeof(struct snap_header) % 8 == 0, "layout");
static_assert(sizeof(struct snap_deployment) % 8 == 0, "layout");

/* FNV-1a over the bytes, folded: names come from the configuration, not from clients. */
static inline uint32_t snap_hash(const char *p, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
    return (uint32_t)(h ^ (h >> 32));
}
