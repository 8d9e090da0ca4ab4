/* Exposition: counters of all regions added up, printed by tables. */

#include "api/metrics.h"

#include "common/num.h"

/* Text that grows in the arena; overflow sticks there. */
struct text {
    struct arena *arena;
    char *p;
    size_t n, cap;
};

static void put(struct text *t, struct str s)
{
    if (t->n + s.n > t->cap) {
        size_t cap = MAX(2 * t->cap, t->n + s.n + ARENA_BLOCK);
        char *p = arena_alloc(t->arena, cap);
        if (!p)
            return;
        if (t->n)
            memcpy(p, t->p, t->n);
        t->p = p;
        t->cap = cap;
    }
    if (s.n)
        memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

static void put_u64(struct text *t, uint64_t v)
{
    char digits[20];

    put(t, (struct str){digits, num_put_u64(digits, v)});
}

/* Nano-units as a decimal without trailing zeros: seconds, dollars. */
static void put_nano(struct text *t, uint64_t nano)
{
    char digits[10] = ".";
    size_t n = sizeof digits;

    put_u64(t, nano / 1000000000);
    for (uint64_t v = nano % 1000000000, i = 9; i > 0; i--, v /= 10)
        digits[i] = (char)('0' + v % 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;
    if (n > 1)
        put(t, (struct str){digits, n});
}

/* A label value: backslash, quote and line feed are escaped, as the format asks. */
static void put_label_value(struct text *t, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            put(t, STR("\\n"));
        else if (s.p[i] == '"' || s.p[i] == '\\')
            put(t, (struct str){(char[]){'\\', s.p[i]}, 2});
        else
            put(t, (struct str){s.p + i, 1});
    }
}

static void put_head(struct text *t, struct str name, struct str type, struct str help)
{
    put(t, STR("# HELP "));
    put(t, name);
    put(t, STR(" "));
    put(t, help);
    put(t, STR("\n# TYPE "));
    put(t, name);
    put(t, STR(" "));
    put(t, type);
    put(t, STR("\n"));
}

/* "name value\n" */
static void put_sample(struct text *t, struct str name, uint64_t value)
{
    put(t, name);
    put(t, STR(" "));
    put_u64(t, value);
    put(t, STR("\n"));
}

/* --- rows of metrics.def --------------------------------------------------------------------- */

struct row {
    struct str name, type, help;
};

#define ROW(name, type, help)                                                                      \
    {                                                                                              \
        STR_INIT(name), STR_INIT(type), STR_INIT(help)                                             \
    }

static const struct row metric_rows[METRICS] = {
#define COUNTER(id, name, help) [METRIC_##id] = ROW(name, "counter", help),
#define GAUGE(id, name, help)   [METRIC_##id] = ROW(name, "gauge", help),
#include "proto/metrics.def"
};

static const struct row pod_rows[POD_METRICS] = {
#define POD_COUNTER(id, name, help) [POD_##id] = ROW(name, "counter", help),
#define POD_GAUGE(id, name, help)   [POD_##id] = ROW(name, "gauge", help),
#include "proto/metrics.def"
};

static const struct row histogram_rows[METRIC_HISTOGRAMS] = {
#define HISTOGRAM(id, name, help) [HISTOGRAM_##id] = ROW(name, "histogram", help),
#include "proto/metrics.def"
};

static void put_metrics(struct text *t, const struct shared *sh)
{
    for (unsigned m = 0; m < METRICS; m++) {
        uint64_t sum = 0;
        for (unsigned i = 0; i < shared_regions(sh); i++)
            sum += counter_get(&shared_region(sh, i)->metric[m]);
        put_head(t, metric_rows[m].name, metric_rows[m].type, metric_rows[m].help);
        put_sample(t, metric_rows[m].name, sum);
    }
    for (unsigned m = 0; m < POD_METRICS; m++) {
        put_head(t, pod_rows[m].name, pod_rows[m].type, pod_rows[m].help);
        put_sample(t, pod_rows[m].name, counter_get(&sh->header->metric[m]));
    }
}

/* The upper bound of bucket `b` in nanoseconds, as histogram_bucket() fills it. */
static uint64_t bucket_bound_ns(unsigned b)
{
    unsigned log2 = (b - 1) / 2, half = (b - 1) % 2;

    if (b == 0)
        return 1000;
    if (log2 == 0)
        return 2000; /* one microsecond has no half */
    return (UINT64_C(1) << log2) * (half ? 2000 : 1500);
}

static void put_bucket(struct text *t, struct str name, struct str bound, uint64_t nano,
                       uint64_t count)
{
    put(t, name);
    put(t, STR("_bucket{le=\""));
    if (bound.n)
        put(t, bound);
    else
        put_nano(t, nano);
    put(t, STR("\"} "));
    put_u64(t, count);
    put(t, STR("\n"));
}

static void put_histogram(struct text *t, const struct row *row, const struct shared *sh,
                          unsigned h)
{
    uint64_t bucket[HISTOGRAM_BUCKETS] = {0}, sum_ns = 0, count = 0;

    for (unsigned i = 0; i < shared_regions(sh); i++) {
        const struct histogram *hist = &shared_region(sh, i)->histogram[h];
        sum_ns += counter_get(&hist->sum_ns);
        for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++)
            bucket[b] += counter_get(&hist->bucket[b]);
    }
    put_head(t, row->name, row->type, row->help);
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS - 1; b++) {
        count += bucket[b];
        if (b != 2) /* shares its bound with bucket 1, and is never filled */
            put_bucket(t, row->name, (struct str){0}, bucket_bound_ns(b), count);
    }
    /* the count from the buckets, so that it agrees with +Inf while workers go on counting */
    count += bucket[HISTOGRAM_BUCKETS - 1];
    put_bucket(t, row->name, STR("+Inf"), 0, count);
    put(t, row->name);
    put(t, STR("_sum "));
    put_nano(t, sum_ns);
    put(t, STR("\n"));
    put(t, row->name);
    put_sample(t, STR("_count"), count);
}

/* --- by route -------------------------------------------------------------------------------- */

static void put_routes(struct text *t, const struct shared *sh)
{
    static const struct {
        struct str method, path;
    } routes[] = {
#define ROUTE(id, method, path, forms, policy, handler, api) {STR_INIT(#method), STR_INIT(path)},
#include "proto/routes.def"
    };
    static const struct str classes[STATUS_CLASSES] = {
        STR_INIT("none"), STR_INIT("1xx"), STR_INIT("2xx"),
        STR_INIT("3xx"),  STR_INIT("4xx"), STR_INIT("5xx"),
    };
    const struct str name = STR("weir_requests_total");

    static_assert(ARRAY_LEN(routes) < REGION_ROUTES, "the last one is that of no route");
    put_head(t, name, STR("counter"), STR("Requests answered, by route and status class"));
    for (unsigned i = 0; i < REGION_ROUTES; i++) {
        bool known = i < ARRAY_LEN(routes);
        for (unsigned c = 0; c < STATUS_CLASSES; c++) {
            uint64_t sum = 0;
            for (unsigned r = 0; r < shared_regions(sh); r++)
                sum += counter_get(&shared_region(sh, r)->requests[i][c]);
            if (sum == 0)
                continue;
            put(t, name);
            put(t, STR("{method=\""));
            put(t, known ? routes[i].method : STR("other"));
            put(t, STR("\",route=\""));
            put(t, known ? routes[i].path : STR("other"));
            put(t, STR("\",status=\""));
            put(t, classes[c]);
            put(t, STR("\"} "));
            put_u64(t, sum);
            put(t, STR("\n"));
        }
    }
}

/* --- by deployment --------------------------------------------------------------------------- */

/* Labels of a deployment, in LiteLLM's names. */
enum label {
    LABEL_REQUESTED_MODEL,
    LABEL_MODEL,
    LABEL_LITELLM_MODEL_NAME,
    LABEL_MODEL_ID,
    LABEL_API_BASE,
    LABEL_API_PROVIDER,
    LABELS,
};

enum {
    BY_DEPLOYMENT = BIT(LABEL_REQUESTED_MODEL) | BIT(LABEL_LITELLM_MODEL_NAME) |
                    BIT(LABEL_MODEL_ID) | BIT(LABEL_API_BASE) | BIT(LABEL_API_PROVIDER),
    BY_PROVIDER = BIT(LABEL_MODEL) | BIT(LABEL_MODEL_ID) | BIT(LABEL_API_PROVIDER),
    BY_MODEL = BIT(LABEL_REQUESTED_MODEL) | BIT(LABEL_MODEL) | BIT(LABEL_MODEL_ID),
};

static struct str label_value(const struct snapshot *snap, const struct snap_deployment *d,
                              enum label l)
{
    switch (l) {
    case LABEL_REQUESTED_MODEL:
        return snap_str(snap, d->group);
    case LABEL_MODEL:
        return snap_str(snap, d->model);
    case LABEL_LITELLM_MODEL_NAME:
        return snap_str(snap, d->litellm_model);
    case LABEL_MODEL_ID:
        return snap_str(snap, d->id);
    case LABEL_API_BASE:
        return snap_str(snap, d->api_base);
    case LABEL_API_PROVIDER:
        return snap_str(snap, d->provider);
    case LABELS:
        break;
    }
    return (struct str){0};
}

/* "name{labels} ", `d` NULL: of deployments that have no slot of their own. */
static void put_labelled(struct text *t, struct str name, struct str suffix, unsigned labels,
                         const struct snapshot *snap, const struct snap_deployment *d,
                         struct str more)
{
    static const struct str names[LABELS] = {
        STR_INIT("requested_model"), STR_INIT("model"),    STR_INIT("litellm_model_name"),
        STR_INIT("model_id"),        STR_INIT("api_base"), STR_INIT("api_provider"),
    };
    struct str comma = STR("{");

    put(t, name);
    put(t, suffix);
    for (unsigned l = 0; l < LABELS; l++) {
        if (!(labels & BIT(l)))
            continue;
        put(t, comma);
        put(t, names[l]);
        put(t, STR("=\""));
        put_label_value(t, d ? label_value(snap, d, l) : STR("other"));
        put(t, STR("\""));
        comma = STR(",");
    }
    put(t, more);
    put(t, STR("} "));
}

enum unit { UNIT_ONE, UNIT_NANO, UNIT_LATENCY };

/* Offsets of the words of struct deployment_counters a family adds up; `count` with UNIT_LATENCY.
 */
static const struct {
    struct str name, type, help;
    unsigned labels;
    enum unit unit;
    size_t word, second, count; /* SIZE_MAX: none */
} families[] = {
#define WORD(member) offsetof(struct deployment_counters, member)
    {STR_INIT("litellm_deployment_total_requests_total"), STR_INIT("counter"),
     STR_INIT("Exchanges with the deployment"), BY_DEPLOYMENT, UNIT_ONE, WORD(requests), SIZE_MAX,
     SIZE_MAX},
    {STR_INIT("litellm_deployment_success_responses_total"), STR_INIT("counter"),
     STR_INIT("Exchanges that succeeded"), BY_DEPLOYMENT, UNIT_ONE, WORD(success), SIZE_MAX,
     SIZE_MAX},
    {STR_INIT("litellm_deployment_failure_responses_total"), STR_INIT("counter"),
     STR_INIT("Exchanges that failed"), BY_DEPLOYMENT, UNIT_ONE, WORD(failure), SIZE_MAX, SIZE_MAX},
    {STR_INIT("litellm_requests_metric_total"), STR_INIT("counter"),
     STR_INIT("Exchanges that succeeded, by model"), BY_PROVIDER, UNIT_ONE, WORD(success), SIZE_MAX,
     SIZE_MAX},
    {STR_INIT("litellm_spend_metric_total"), STR_INIT("counter"), STR_INIT("Spend in dollars"),
     BY_PROVIDER, UNIT_NANO, WORD(spend_nusd), SIZE_MAX, SIZE_MAX},
    {STR_INIT("litellm_input_tokens_metric_total"), STR_INIT("counter"), STR_INIT("Input tokens"),
     BY_MODEL, UNIT_ONE, WORD(input_tokens), SIZE_MAX, SIZE_MAX},
    {STR_INIT("litellm_output_tokens_metric_total"), STR_INIT("counter"), STR_INIT("Output tokens"),
     BY_MODEL, UNIT_ONE, WORD(output_tokens), SIZE_MAX, SIZE_MAX},
    {STR_INIT("litellm_total_tokens_metric_total"), STR_INIT("counter"),
     STR_INIT("Input and output tokens"), BY_MODEL, UNIT_ONE, WORD(input_tokens),
     WORD(output_tokens), SIZE_MAX},
    {STR_INIT("litellm_llm_api_latency_metric"), STR_INIT("histogram"),
     STR_INIT("Seconds of the exchanges that succeeded"), BY_MODEL, UNIT_LATENCY,
     WORD(latency_ns_sum), SIZE_MAX, WORD(success)},
    {STR_INIT("litellm_llm_api_time_to_first_token_metric"), STR_INIT("histogram"),
     STR_INIT("Seconds until the first token of streams"), BY_MODEL, UNIT_LATENCY,
     WORD(first_token_ns_sum), SIZE_MAX, WORD(first_token_count)},
    {STR_INIT("weir_deployment_in_flight"), STR_INIT("gauge"), STR_INIT("Exchanges in flight"),
     BY_DEPLOYMENT, UNIT_ONE, WORD(in_flight), SIZE_MAX, SIZE_MAX},
    {STR_INIT("weir_deployment_unpriced_total"), STR_INIT("counter"),
     STR_INIT("Exchanges whose cost is not fully known"), BY_DEPLOYMENT, UNIT_ONE, WORD(unpriced),
     SIZE_MAX, SIZE_MAX},
#undef WORD
};

static uint64_t word_of(const struct deployment_counters *c, size_t offset)
{
    uint64_t v;

    if (offset == SIZE_MAX)
        return 0;
    memcpy(&v, (const char *)c + offset, sizeof v);
    return v;
}

static void put_family_of(struct text *t, size_t f, const struct snapshot *snap,
                          const struct snap_deployment *d, const struct deployment_counters *c)
{
    const struct str name = families[f].name, none = {0};
    unsigned labels = families[f].labels;
    uint64_t v = word_of(c, families[f].word) + word_of(c, families[f].second);

    switch (families[f].unit) {
    case UNIT_ONE:
        put_labelled(t, name, none, labels, snap, d, none);
        put_u64(t, v);
        break;
    case UNIT_NANO:
        put_labelled(t, name, none, labels, snap, d, none);
        put_nano(t, v);
        break;
    case UNIT_LATENCY: /* sum and count: what averages are made of */
        put_labelled(t, name, STR("_bucket"), labels, snap, d, STR(",le=\"+Inf\""));
        put_u64(t, word_of(c, families[f].count));
        put(t, STR("\n"));
        put_labelled(t, name, STR("_sum"), labels, snap, d, none);
        put_nano(t, v);
        put(t, STR("\n"));
        put_labelled(t, name, STR("_count"), labels, snap, d, none);
        put_u64(t, word_of(c, families[f].count));
        break;
    }
    put(t, STR("\n"));
}

static void add_counters(struct deployment_counters *sum, const struct shared *sh, uint32_t slot)
{
    for (unsigned i = 0; i < shared_regions(sh); i++) {
        const struct deployment_counters *c = &shared_region(sh, i)->deployment[slot];
        sum->requests += counter_get(&c->requests);
        sum->success += counter_get(&c->success);
        sum->failure += counter_get(&c->failure);
        sum->input_tokens += counter_get(&c->input_tokens);
        sum->output_tokens += counter_get(&c->output_tokens);
        sum->spend_nusd += counter_get(&c->spend_nusd);
        sum->latency_ns_sum += counter_get(&c->latency_ns_sum);
        sum->first_token_ns_sum += counter_get(&c->first_token_ns_sum);
        sum->first_token_count += counter_get(&c->first_token_count);
        sum->in_flight += counter_get(&c->in_flight);
        sum->unpriced += counter_get(&c->unpriced);
    }
}

static void put_deployments(struct text *t, const struct shared *sh, const struct snapshot *snap)
{
    uint32_t n = snap->h->deployments.n;
    struct deployment_counters *sums = arena_zalloc(t->arena, (n + 1) * sizeof *sums);
    const struct snap_deployment *d;
    bool others = false;

    if (!sums)
        return;
    for (uint32_t i = 0; i < n; i++) {
        d = SNAP_AT(snap, snap->h->deployments, struct snap_deployment, i);
        if (d && d->slot < SHARED_DEPLOYMENTS - 1)
            add_counters(&sums[i], sh, d->slot);
        else
            others = true;
    }
    if (others)
        add_counters(&sums[n], sh, SHARED_DEPLOYMENTS - 1);
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        put_head(t, families[f].name, families[f].type, families[f].help);
        for (uint32_t i = 0; i < n; i++) {
            d = SNAP_AT(snap, snap->h->deployments, struct snap_deployment, i);
            if (d && d->slot < SHARED_DEPLOYMENTS - 1 && sums[i].requests > 0)
                put_family_of(t, f, snap, d, &sums[i]);
        }
        if (others)
            put_family_of(t, f, snap, NULL, &sums[n]);
    }
}

struct str metrics_text(const struct shared *sh, const struct snapshot *snap, struct arena *a)
{
    struct text t = {.arena = a};

    put_metrics(&t, sh);
    for (unsigned h = 0; h < METRIC_HISTOGRAMS; h++)
        put_histogram(&t, &histogram_rows[h], sh, h);
    put_routes(&t, sh);
    put_deployments(&t, sh, snap);
    return arena_ok(a) ? (struct str){t.p, t.n} : (struct str){0};
}
