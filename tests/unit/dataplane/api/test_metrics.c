/* /metrics: sums over regions, cumulative buckets, labels nobody can break out of. */

#include <unistd.h>

#include "api/metrics.h"
#include "tests/unit/test.h"

static struct {
    struct snap_header h;
    struct snap_deployment d[2];
    char text[256];
} image;

static struct snap_ref text_at(const char *s)
{
    static size_t used;
    size_t n = strlen(s), at = used;

    memcpy(image.text + at, s, n);
    used += n;
    return (struct snap_ref){(uint32_t)(offsetof(__typeof__(image), text) + at), (uint32_t)n};
}

static struct shared sh;
static struct snapshot snap = {.base = (const char *)&image, .size = sizeof image, .h = &image.h};

static int setup(void **state)
{
    char path[] = "/tmp/weir-shared-XXXXXX";
    int fd = mkstemp(path), shared_fd;
    struct err e;

    (void)state;
    if (fd < 0 || shared_make(&sh, path, 3, &shared_fd, &e)) /* an empty file is replaced */
        return -1;
    close(fd);
    close(shared_fd);
    (void)unlink(path);
    sh.header->n_regions = 2;
    image.h.deployments = (struct snap_ref){offsetof(__typeof__(image), d), 2};
    image.d[0] = (struct snap_deployment){.id = text_at("d-1"),
                                          .group = text_at("my \"gpt\"\\\n"),
                                          .provider = text_at("openai"),
                                          .litellm_model = text_at("openai/gpt"),
                                          .model = text_at("gpt"),
                                          .api_base = text_at("https://u.example/v1"),
                                          .slot = 5};
    image.d[1] = (struct snap_deployment){.id = text_at("d-2"), .slot = 6};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    shared_unmap(&sh);
    return 0;
}

static void assert_line(struct str text, const char *line)
{
    if (str_find(text, str_of(line)) == SIZE_MAX)
        fail_msg("no line: %s", line);
}

static void test_adds_up_regions_and_deployments(void **state)
{
    struct region *a = shared_region(&sh, 0), *b = shared_region(&sh, 1);
    struct arena arena;

    (void)state;
    metric_add(a, METRIC_CONNECTIONS, 3);
    metric_add(b, METRIC_CONNECTIONS, 4);
    pod_metric_set(&sh, POD_WORKERS, 2);
    counter_add(&a->requests[0][2], 7);
    counter_add(&b->requests[REGION_ROUTES - 1][4], 1);
    counter_add(&a->deployment[5].requests, 10);
    counter_add(&b->deployment[5].requests, 1);
    counter_add(&b->deployment[5].success, 9);
    counter_add(&b->deployment[5].spend_nusd, 1500000);
    counter_add(&b->deployment[5].input_tokens, 30);
    counter_add(&b->deployment[5].output_tokens, 12);
    counter_add(&b->deployment[5].latency_ns_sum, UINT64_C(2500000000));
    arena_init(&arena, NULL, 1 << 20);
    struct str text = metrics_text(&sh, &snap, &arena);

    assert_line(text, "\n# TYPE weir_client_connections_total counter\n"
                      "weir_client_connections_total 7\n");
    assert_line(text, "\nweir_workers 2\n");
    assert_line(text, "\nweir_requests_total{method=\"POST\",route=\"/chat/completions\","
                      "status=\"2xx\"} 7\n");
    assert_line(text, "\nweir_requests_total{method=\"other\",route=\"other\",status=\"4xx\"} 1\n");
    assert_line(text, "\nlitellm_deployment_total_requests_total{requested_model="
                      "\"my \\\"gpt\\\"\\\\\\n\",litellm_model_name=\"openai/gpt\",model_id="
                      "\"d-1\",api_base=\"https://u.example/v1\",api_provider=\"openai\"} 11\n");
    assert_line(text, "\nlitellm_spend_metric_total{model=\"gpt\",model_id=\"d-1\","
                      "api_provider=\"openai\"} 0.0015\n");
    assert_line(text, "model=\"gpt\",model_id=\"d-1\"} 42\n"); /* total tokens */
    assert_line(text, "model=\"gpt\",model_id=\"d-1\",le=\"+Inf\"} 9\n");
    assert_line(text, "model=\"gpt\",model_id=\"d-1\"} 2.5\n");
    assert_int_equal(str_find(text, STR("d-2")), SIZE_MAX); /* never used: no series */
    arena_reset(&arena);
}

static void test_buckets_are_cumulative_and_agree_with_the_count(void **state)
{
    struct region *r = shared_region(&sh, 1);
    struct arena arena;

    (void)state;
    metric_observe(r, HISTOGRAM_OVERHEAD, 900);
    metric_observe(r, HISTOGRAM_OVERHEAD, 1700);
    metric_observe(r, HISTOGRAM_OVERHEAD, 84000);
    metric_observe(shared_region(&sh, 0), HISTOGRAM_OVERHEAD, UINT64_MAX / 4);
    arena_init(&arena, NULL, 1 << 20);
    struct str text = metrics_text(&sh, &snap, &arena);

    assert_line(text, "weir_overhead_seconds_bucket{le=\"0.000001\"} 1\n"
                      "weir_overhead_seconds_bucket{le=\"0.000002\"} 2\n"
                      "weir_overhead_seconds_bucket{le=\"0.000003\"} 2\n");
    assert_line(text, "weir_overhead_seconds_bucket{le=\"0.000064\"} 2\n"
                      "weir_overhead_seconds_bucket{le=\"0.000096\"} 3\n");
    assert_line(text, "weir_overhead_seconds_bucket{le=\"+Inf\"} 4\n");
    assert_line(text, "\nweir_overhead_seconds_count 4\n");
    arena_reset(&arena);
}

static void test_too_small_an_arena_gives_nothing(void **state)
{
    struct arena arena;

    (void)state;
    arena_init(&arena, NULL, 20000);
    assert_int_equal(metrics_text(&sh, &snap, &arena).n, 0);
    arena_reset(&arena);
}

/* Every duration falls into the bucket whose bound, and no lower one, holds it. */
static void test_durations_fall_into_their_buckets(void **state)
{
    static const struct {
        uint64_t ns;
        unsigned bucket;
    } rows[] = {{0, 0},    {1000, 0},   {1001, 1},   {1999, 1},       {2000, 3},
                {2999, 3}, {3000, 4},   {3999, 4},   {4000, 5},       {5999, 5},
                {6000, 6}, {64000, 13}, {96000, 14}, {UINT64_MAX, 63}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(histogram_bucket(rows[i].ns), rows[i].bucket);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adds_up_regions_and_deployments),
        cmocka_unit_test(test_buckets_are_cumulative_and_agree_with_the_count),
        cmocka_unit_test(test_too_small_an_arena_gives_nothing),
        cmocka_unit_test(test_durations_fall_into_their_buckets),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
