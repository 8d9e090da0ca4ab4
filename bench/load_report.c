/* What the load generator counts with and how it tells. */

#include <sys/resource.h>

#include "load_priv.h"

static const char *const failure_names[FAILURES] = {
    [FAIL_STATUS] = "status", /* not 2xx */
    [FAIL_CONNECT] = "connect", [FAIL_READ] = "read",
    [FAIL_TIMEOUT] = "timeout", [FAIL_BODY] = "body", /* a 2xx whose body is not whole */
};

static const char *const measure_names[MEASURES] = {
    [LATENCY] = "latency_ns",
    [LATENESS] = "lateness_ns",
    [FIRST_EVENT] = "first_event_ns",
    [EVENT] = "event_ns",
};

static unsigned hist_index(uint64_t v)
{
    if (v < HIST_SUB)
        return (unsigned)v;
    unsigned shift = 63u - (unsigned)__builtin_clzll(v) - HIST_BITS;

    return ((shift + 1) << HIST_BITS) + (unsigned)(v >> shift) - HIST_SUB;
}

/* The highest value that falls where `index` does. */
static uint64_t hist_value(unsigned index)
{
    unsigned row = index >> HIST_BITS;

    if (row == 0)
        return index;
    return (((uint64_t)(index & (HIST_SUB - 1)) + HIST_SUB + 1) << (row - 1)) - 1;
}

void hist_add(struct hist *h, uint64_t v)
{
    h->count++;
    h->sum += v;
    if (v > h->max)
        h->max = v;
    h->at[hist_index(v)]++;
}

void load_add_latency(struct load *l, uint64_t due_ns)
{
    size_t window = l->window_ns ? (size_t)((due_ns - l->start_ns) / l->window_ns) : 0;

    hist_add(&l->measures[LATENCY], l->now_ns - due_ns);
    if (window < l->window_count)
        hist_add(&l->windows[window], l->now_ns - due_ns);
}

static uint64_t hist_quantile(const struct hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->count + 0.5), seen = 0;

    for (unsigned i = 0; i < HIST_SIZE; i++) {
        seen += h->at[i];
        if (h->at[i] && seen >= want)
            return hist_value(i) < h->max ? hist_value(i) : h->max;
    }
    return h->max;
}

static void hist_print_json(const struct hist *h, const char *name)
{
    bool is_first = true;

    printf(",\"%s\":{\"count\":%llu,\"mean\":%.0f,\"p50\":%llu,\"p90\":%llu,\"p99\":%llu,\"p999\":%"
           "llu,\"max\":%llu,"
           "\"histogram\":[",
           name, (unsigned long long)h->count, h->count ? (double)h->sum / (double)h->count : 0.0,
           (unsigned long long)hist_quantile(h, 0.50), (unsigned long long)hist_quantile(h, 0.90),
           (unsigned long long)hist_quantile(h, 0.99), (unsigned long long)hist_quantile(h, 0.999),
           (unsigned long long)h->max);
    for (unsigned i = 0; i < HIST_SIZE; i++) {
        if (!h->at[i])
            continue;
        printf("%s[%llu,%llu]", is_first ? "" : ",", (unsigned long long)hist_value(i),
               (unsigned long long)h->at[i]);
        is_first = false;
    }
    printf("]}");
}

static double load_seconds(const struct load *l)
{
    return (double)(l->last_ns - l->start_ns) / (double)NS_PER_S;
}

/* Arrivals that were due but found no connection before the end. */
static uint64_t load_unsent(const struct load *l)
{
    uint64_t due;

    if (l->rate == 0)
        return 0;
    due = (uint64_t)((unsigned __int128)l->duration_ns * l->rate / NS_PER_S);
    if (l->max_requests && due > l->max_requests)
        due = l->max_requests;
    return due > l->sent ? due - l->sent : 0;
}

static double cpu_seconds(void)
{
    struct rusage u;

    if (getrusage(RUSAGE_SELF, &u) < 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void load_print_json(const struct load *l)
{
    double seconds = load_seconds(l);

    printf("{\"connections\":%zu,\"rate\":%llu,\"request_bytes\":%zu,\"requests\":%llu,\"ok\":%llu,"
           "\"seconds\":%.6f,"
           "\"rps\":%.1f,\"unsent\":%llu,\"waited\":%llu,\"reconnects\":%llu,\"bytes_in\":%llu,"
           "\"cpu_s\":%.3f,"
           "\"errors\":{",
           l->conn_count, (unsigned long long)l->rate, l->request_len, (unsigned long long)l->sent,
           (unsigned long long)l->ok, seconds, seconds > 0 ? (double)l->ok / seconds : 0.0,
           (unsigned long long)load_unsent(l), (unsigned long long)l->waited,
           (unsigned long long)l->reconnects, (unsigned long long)l->bytes_in, cpu_seconds());
    for (unsigned i = 0; i < FAILURES; i++)
        printf("%s\"%s\":%llu", i ? "," : "", failure_names[i], (unsigned long long)l->failures[i]);
    printf("}");
    for (unsigned i = 0; i < MEASURES; i++)
        hist_print_json(&l->measures[i], measure_names[i]);
    for (size_t i = 0; i < l->window_count; i++)
        printf("%s%llu", i ? "," : ",\"windows_p99_ns\":[",
               (unsigned long long)hist_quantile(&l->windows[i], 0.99));
    printf("%s}\n", l->window_count ? "]" : "");
}

void load_print(const struct load *l)
{
    double seconds = load_seconds(l);

    printf("%llu requests in %.2f s, %.0f/s, %llu ok", (unsigned long long)l->sent, seconds,
           seconds > 0 ? (double)l->ok / seconds : 0.0, (unsigned long long)l->ok);
    for (unsigned i = 0; i < FAILURES; i++)
        if (l->failures[i])
            printf(", %s errors %llu", failure_names[i], (unsigned long long)l->failures[i]);
    printf(", unsent %llu, waited for a connection %llu\n", (unsigned long long)load_unsent(l),
           (unsigned long long)l->waited);
    for (unsigned i = 0; i < MEASURES; i++) {
        const struct hist *h = &l->measures[i];

        if (h->count)
            printf("%-14s us: p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f\n",
                   measure_names[i], (double)hist_quantile(h, 0.50) / 1e3,
                   (double)hist_quantile(h, 0.90) / 1e3, (double)hist_quantile(h, 0.99) / 1e3,
                   (double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3);
    }
}
