/* The fields LiteLLM's probes look at, and the age of what is served. */

#include "api/health.h"

#include "common/clock.h"

struct str health_readiness(const struct snapshot *s, bool draining, struct arena *a)
{
    int64_t age_us = clock_wall_us() - s->h->built_us;
    struct jw w = jw_init(a);

    jw_obj(&w);
    jw_key(&w, STR("status"));
    jw_put_str(&w, draining ? STR("draining") : STR("healthy"));
    jw_key(&w, STR("db"));
    jw_put_str(&w, STR("Not connected"));
    jw_key(&w, STR("cache"));
    jw_put_null(&w);
    jw_key(&w, STR("litellm_version"));
    jw_put_str(&w, STR(WEIR_VERSION));
    jw_key(&w, STR("success_callbacks"));
    jw_arr(&w);
    jw_end(&w);
    jw_key(&w, STR("generation"));
    jw_put_u64(&w, s->h->generation);
    jw_key(&w, STR("generation_age_seconds"));
    jw_put_i64(&w, age_us > 0 ? age_us / 1000000 : 0);
    jw_end(&w);
    return jw_finish(&w);
}
