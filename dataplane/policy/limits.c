/*
 *   collect   who has a limit: rows of LiteLLM's descriptors, in its order
 *   requests  one of each; then parallel; then tokens
 *   refused   what was taken so far is given back
 *
 * An entity is charged whether it is limited or not: its spend counts.
 */

#include "policy/limits.h"

#include "common/num.h"

#include "policy/budget.h"
#include "policy/budget_model.h"
#include "policy/guards.h"

enum {
    BYTES_PER_TOKEN = 4,
    OUTPUT_FLOOR = 1024,   /* tokens, where the request names no limit of its own ... */
    OUTPUT_FLOOR_PART = 4, /* ... or this part of the smallest limit */
    RESPONSES_OUTPUT_MIN = 16,
};

const struct str limit_descriptor_name[LIMIT_DESCRIPTORS] = {
#define LIMIT(id, name) [LIMIT_##id] = STR_INIT(name),
#include "policy/limits.def"
#undef LIMIT
};

const struct str limit_type_name[LIMIT_TYPES] = {
    [LIMIT_REQUESTS] = STR_INIT("requests"),
    [LIMIT_TOKENS] = STR_INIT("tokens"),
    [LIMIT_PARALLEL] = STR_INIT("max_parallel_requests"),
};

struct row { /* one descriptor of this request */
    enum limit_descriptor descriptor;
    const struct identity_found *of;
    struct str model;           /* or tag, of a pair; empty: the entity itself */
    int64_t limit[LIMIT_TYPES]; /* LIMIT_NONE: none */
    struct counter *counter;    /* or: */
    struct pair_counter *pair;
    uint32_t slot;
};

struct rows {
    struct ask *k;
    struct charges *charges;
    unsigned n;
    struct row row[LIMITS_MAX];
};

static void row_add(struct rows *r, struct row row)
{
    bool any = false;

    for (unsigned t = 0; t < LIMIT_TYPES; t++)
        any |= row.limit[t] != LIMIT_NONE;
    if (any && (row.counter || row.pair) && r->n < LIMITS_MAX)
        r->row[r->n++] = row;
}

/* An entity and its counter; its spend is charged in any case. */
static void entity(struct rows *r, enum limit_descriptor d, const struct identity_found *f)
{
    if (!found(f))
        return;
    (void)charge_slot_add(r->charges, f->identity->slot, CHARGE_SPEND); /* room for all of them */
    if (!f->rules || !(f->identity->flags & IDENTITY_LIMITED))
        return;
    row_add(r, (struct row){
                   .descriptor = d,
                   .of = f,
                   .limit = {d == LIMIT_KEY ? guard_throttled(r->k, f->rules->rpm) : f->rules->rpm,
                             d == LIMIT_KEY ? guard_throttled(r->k, f->rules->tpm) : f->rules->tpm,
                             d == LIMIT_KEY ? f->rules->parallel : LIMIT_NONE},
                   .counter = counters_at(r->k->counters, f->identity->slot),
                   .slot = f->identity->slot});
}

/* An end user without limits of their own, by the budget of all such. */
static void default_end_user(struct rows *r)
{
    struct identity_found f = end_user_default(r->k);
    int64_t max;

    if (f.rules && (f.rules->rpm != LIMIT_NONE || f.rules->tpm != LIMIT_NONE))
        row_add(r, (struct row){.descriptor = LIMIT_END_USER,
                                .limit = {f.rules->rpm, f.rules->tpm, LIMIT_NONE},
                                .pair = end_user_pair(r->k, &max)});
}

/* An entity with the model of the request, by limits of it or of another. */
static void with_model(struct rows *r, enum limit_descriptor d, const struct identity_found *f,
                       int64_t rpm, int64_t tpm)
{
    const struct ask *k = r->k;
    struct str model = k->group ? snap_str(k->s, k->group->name) : k->dispatched;

    if (rpm == LIMIT_NONE && tpm == LIMIT_NONE)
        return;
    row_add(r, (struct row){.descriptor = d,
                            .of = f,
                            .model = model,
                            .limit = {rpm, tpm, LIMIT_NONE},
                            .pair = counters_pair(k->counters, found_owner(f),
                                                  (unsigned)d << 8 | PAIR_MODEL, model,
                                                  ask_now_s(k), k->s->h->settings.limit_window_s)});
}

struct model_limit {
    int64_t rpm, tpm;
};

static struct model_limit model_limit(const struct ask *k, const struct identity_found *f)
{
    const struct identity_model_limit *l = model_limit_of(k, f);

    return l ? (struct model_limit){l->rpm, l->tpm} : (struct model_limit){LIMIT_NONE, LIMIT_NONE};
}

/* What the key does not say the team does; the team's own count is then asked as well. */
static void key_and_team_models(struct rows *r)
{
    const struct caller *c = r->k->caller;
    struct model_limit key = model_limit(r->k, &c->key), team = model_limit(r->k, &c->team);

    if (found(&c->key))
        with_model(r, LIMIT_KEY_MODEL, &c->key, key.rpm != LIMIT_NONE ? key.rpm : team.rpm,
                   key.tpm != LIMIT_NONE ? key.tpm : team.tpm);
    if (found(&c->team))
        with_model(r, LIMIT_TEAM_MODEL, &c->team, key.rpm != LIMIT_NONE ? LIMIT_NONE : team.rpm,
                   key.tpm != LIMIT_NONE ? LIMIT_NONE : team.tpm);
}

static void its_model(struct rows *r, enum limit_descriptor d, const struct identity_found *f)
{
    struct model_limit l = model_limit(r->k, f);

    if (found(f))
        with_model(r, d, f, l.rpm, l.tpm);
}

/* ---- requests of a key with a tag: {"tag_rpm_limit": {"batch": 10}} in its metadata ---- */

struct tag_limits {
    struct rows *r;
    struct str text;
};

static void on_tag_limit(void *ctx, const struct json_member *m)
{
    struct tag_limits *t = ctx;
    struct rows *r = t->r;
    const struct caller *c = r->k->caller;
    uint64_t limit;

    if (m->type != JSON_NUMBER || !num_u64(m->text, &limit) || limit > INT64_MAX)
        return;
    for (unsigned i = 0; i < c->n_tags; i++)
        if (str_eq(c->tag[i].name, m->key))
            row_add(r, (struct row){.descriptor = LIMIT_KEY_TAG,
                                    .of = &c->key,
                                    .model = c->tag[i].name,
                                    .limit = {(int64_t)limit, LIMIT_NONE, LIMIT_NONE},
                                    .pair = counters_pair(r->k->counters, found_owner(&c->key),
                                                          PAIR_TAG, c->tag[i].name, ask_now_s(r->k),
                                                          r->k->s->h->settings.limit_window_s)});
}

static void key_tags(struct rows *r)
{
    static const struct json_watch root = {.id = 0};
    const struct caller *c = r->k->caller;
    struct str limits =
        c->n_tags ? metadata_member(&c->key, STR("tag_rpm_limit")) : (struct str){0};
    struct tag_limits t = {r, limits};
    struct json_scan scan;

    if (!limits.n)
        return;
    json_scan_init(&scan, &root, on_tag_limit, &t);
    scan.all_members = true;
    (void)json_scan_feed(&scan, limits.p, limits.n); /* checked when it was found */
}

/* ---- the whole ---- */

static void collect(struct rows *r)
{
    struct ask *k = r->k;
    struct caller *c = k->caller;
    const struct snap_settings *s = &k->s->h->settings;

    entity(r, LIMIT_KEY, &c->key);
    entity(r, LIMIT_USER, &c->user);
    entity(r, LIMIT_TEAM, &c->team);
    entity(r, LIMIT_MEMBER, &c->member);
    entity(r, LIMIT_END_USER, &c->end_user);
    if (k->guarded)
        default_end_user(r);
    key_and_team_models(r);
    key_tags(r);
    its_model(r, LIMIT_PROJECT_MODEL, &c->project);
    if (found(&c->project)) /* it has no limits of its own beside those per model */
        (void)charge_slot_add(r->charges, c->project.identity->slot, CHARGE_SPEND);
    entity(r, LIMIT_ORGANIZATION, &c->organization);
    its_model(r, LIMIT_ORGANIZATION_MODEL, &c->organization);
    for (unsigned i = 0; i < c->n_tags; i++)
        entity(r, LIMIT_TAG, &c->tag[i].found);
    if (s->max_budget_nusd > 0 || s->global_parallel)
        (void)charge_slot_add(r->charges, CHARGE_POD, CHARGE_SPEND);
    if (s->global_parallel && k->counters->header)
        row_add(r, (struct row){.descriptor = LIMIT_POD,
                                .limit = {LIMIT_NONE, LIMIT_NONE, s->global_parallel},
                                .counter = &k->counters->header->pod,
                                .slot = CHARGE_POD});
}

/* Budgets that are counted in pairs. False: there is no room for all of them. */
static bool charge_pairs(struct rows *r)
{
    struct ask *k = r->k;
    int64_t max;
    const struct pair_counter *p = end_user_pair(k, &max);

    return (!p || charge_pair_add(r->charges, k->counters, p, CHARGE_SPEND)) &&
           (!k->guarded || budget_model_charge(k, r->charges));
}

/* ---- how many tokens it may take ---- */

static bool member_number(const struct ask *k, enum field f, uint64_t *ret)
{
    const struct member *m = k->scan ? request_member(k->scan, f) : NULL;

    return m && m->type == JSON_NUMBER &&
           num_u64((struct str){k->body.p + m->at, m->end - m->at}, ret);
}

static bool output_asked(const struct ask *k, uint64_t *ret)
{
    static const enum field fields[] = {FIELD_MAX_TOKENS, FIELD_MAX_COMPLETION_TOKENS,
                                        FIELD_MAX_OUTPUT_TOKENS};
    bool any = false;
    uint64_t v;

    *ret = 0;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (member_number(k, fields[i], &v)) {
            *ret = MAX(*ret, v);
            any = true;
        }
    if (any && k->api == API_RESPONSES)
        *ret = MAX(*ret, (uint64_t)RESPONSES_OUTPUT_MIN);
    return any;
}

static uint64_t input_estimate(const struct ask *k)
{
    const struct member *m = k->scan ? request_member(k->scan, FIELD_MESSAGES) : NULL;
    uint64_t bytes = m ? m->end - m->at : k->body.n;

    return MAX(bytes / BYTES_PER_TOKEN, (uint64_t)1);
}

static uint64_t output_estimate(const struct ask *k, uint64_t input, int64_t smallest)
{
    const struct identity_found *of[] = {&k->caller->key, &k->caller->team};
    uint64_t v, choices = 1;

    if (k->api == API_EMBEDDINGS || k->api == API_MODERATIONS)
        return 0;
    if (!output_asked(k, &v)) {
        bool said = false;
        for (size_t i = 0; i < ARRAY_LEN(of) && !said; i++)
            said = num_u64(metadata_member(of[i], STR("default_estimated_output_tokens")), &v) && v;
        if (!said)
            v = MAX(input, MIN((uint64_t)OUTPUT_FLOOR,
                               MAX((uint64_t)smallest / OUTPUT_FLOOR_PART, (uint64_t)1)));
    }
    if (!member_number(k, FIELD_N, &choices) || !choices)
        choices = 1;
    v = MIN(v, UINT64_C(1) << 32);
    return v * MIN(choices, UINT64_C(1) << 16);
}

uint64_t limits_tokens(const struct snapshot *s, const struct usage *u)
{
    uint64_t prompt = usage_prompt(u) - u->cache_read, completion = usage_completion(u);

    if (s->h->settings.flags & SNAP_LIMIT_INPUT)
        return prompt;
    return s->h->settings.flags & SNAP_LIMIT_OUTPUT ? completion : prompt + completion;
}

static int64_t smallest_tpm(const struct rows *r)
{
    int64_t smallest = LIMIT_NONE;

    for (unsigned i = 0; i < r->n; i++) {
        int64_t tpm = r->row[i].limit[LIMIT_TOKENS];
        if (tpm != LIMIT_NONE && (smallest == LIMIT_NONE || tpm < smallest))
            smallest = tpm;
    }
    return smallest;
}

static uint64_t tokens_estimate(const struct rows *r)
{
    const struct ask *k = r->k;
    uint64_t input = input_estimate(k);
    uint64_t output = output_estimate(k, input, smallest_tpm(r));
    uint32_t flags = k->s->h->settings.flags;

    return MAX(flags & SNAP_LIMIT_INPUT    ? input
               : flags & SNAP_LIMIT_OUTPUT ? output
                                           : input + output,
               (uint64_t)1);
}

/* ---- taking ---- */

static window_word *row_window(const struct row *w, enum limit_type t)
{
    if (w->counter)
        return t == LIMIT_REQUESTS ? &w->counter->requests : &w->counter->tokens;
    return t == LIMIT_REQUESTS ? &w->pair->requests : &w->pair->tokens;
}

static bool row_charge(struct rows *r, const struct row *w, unsigned what)
{
    return w->counter ? charge_slot_add(r->charges, w->slot, what)
                      : charge_pair_add(r->charges, r->k->counters, w->pair, what);
}

/* Takes `n` of one limit; *ret_left is what remains. */
static bool row_take(struct rows *r, const struct row *w, enum limit_type t, uint64_t n,
                     int64_t *ret_left)
{
    static const unsigned charge[LIMIT_TYPES] = {CHARGE_REQUEST, CHARGE_TOKENS, CHARGE_PARALLEL};
    uint32_t window_s = r->charges->window_s, at_once = 0;
    uint64_t limit = (uint64_t)w->limit[t];
    struct window window;
    bool ok;

    if (t == LIMIT_PARALLEL) {
        ok = parallel_take(w->counter, (uint32_t)MIN(limit, (uint64_t)UINT32_MAX), &at_once);
        *ret_left = w->limit[t] - at_once;
    } else {
        ok = window_take(row_window(w, t), r->charges->taken_s, window_s, n, limit, &window);
        *ret_left = w->limit[t] - (int64_t)window.count;
    }
    *ret_left = MAX(*ret_left, (int64_t)0);
    if (ok) /* no room to remember it: a window of requests keeps its one */
        (void)row_charge(r, w, charge[t]);
    return ok;
}

/* What runs at once is written down before it is taken, so that it comes back whoever dies when:
 * one given back that was not yet taken is made good when the entity rests, one never given back
 * would be gone. */
static bool hold(struct rows *r)
{
    struct ask *k = r->k;
    bool any = false;

    for (unsigned i = 0; i < r->n; i++)
        if (r->row[i].limit[LIMIT_PARALLEL] != LIMIT_NONE)
            any |= row_charge(r, &r->row[i], CHARGE_PARALLEL);
    if (!any)
        return true;
    bool ok = k->hold(k->hold_ctx, r->charges);
    for (uint32_t i = 0; i < r->charges->n_slots; i++) /* they are about to be, one by one */
        r->charges->slot[i].what &= ~(uint32_t)CHARGE_PARALLEL;
    return ok;
}

static struct str row_value(struct ask *k, const struct row *w)
{
    const struct caller *c = k->caller;
    struct str id = w->of ? found_id(w->of) : STR("pod");

    if (w->descriptor == LIMIT_END_USER)
        return c->end_user_id;
    if (w->of && found(w->of) && w->of->identity->kind == IDENTITY_KEY)
        id = key_hash_text(k->arena, w->of);
    if (w->descriptor == LIMIT_MEMBER)
        id = arena_printf(k->arena, STR_FMT ":" STR_FMT, STR_ARG(found_id(&c->team)),
                          STR_ARG(found_id(&c->user)));
    return w->model.n ? arena_printf(k->arena, STR_FMT ":" STR_FMT, STR_ARG(id), STR_ARG(w->model))
                      : id;
}

static struct str utc_text(struct arena *a, int64_t us)
{
    time_t t = (time_t)(us / 1000000);
    struct tm tm;

    (void)gmtime_r(&t, &tm);
    return arena_printf(a, "%04d-%02d-%02d %02d:%02d:%02d UTC", tm.tm_year + 1900, tm.tm_mon + 1,
                        tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void undo(struct rows *r)
{
    charges_undo(r->charges, r->k->counters, r->charges->taken_s);
    memset(r->charges, 0, offsetof(struct charges, slot));
}

static bool refuse(struct rows *r, const struct row *w, enum limit_type t, int64_t left)
{
    struct ask *k = r->k;
    uint32_t window_s = r->charges->window_s;
    struct str name = limit_descriptor_name[w->descriptor], type = limit_type_name[t];
    struct str reset = utc_text(k->arena, k->now_us + (int64_t)window_s * 1000000);
    struct str value = row_value(k, w);

    k->refusal.limit_type = type.p;
    k->refusal.reset_at = reset;
    k->refusal.retry_after_s = window_s;
    undo(r);
    return ask_refuse(
        k, ERROR_RATE_LIMIT,
        arena_printf(k->arena,
                     "Rate limit exceeded for " STR_FMT ": " STR_FMT ". Limit type: " STR_FMT
                     ". Current limit: %lld, Remaining: %lld. Limit resets at: " STR_FMT,
                     STR_ARG(name), STR_ARG(value), STR_ARG(type), (long long)w->limit[t],
                     (long long)left, STR_ARG(reset)));
}

static bool take_all(struct rows *r, enum limit_type t, uint64_t n, struct limits *out)
{
    for (unsigned i = 0; i < r->n; i++) {
        const struct row *w = &r->row[i];
        int64_t left;
        if (w->limit[t] == LIMIT_NONE)
            continue;
        if (!row_take(r, w, t, n, &left))
            return refuse(r, w, t, left);
        out->status[out->n++] = (struct limit_status){.descriptor = (uint8_t)w->descriptor,
                                                      .type = (uint8_t)t,
                                                      .limit = w->limit[t],
                                                      .remaining = left};
    }
    return true;
}

bool limits_take(struct ask *k, struct charges *c, const struct limits **ret_limits)
{
    struct rows rows UNINITIALIZED, *r = &rows;

    r->k = k;
    r->charges = c;
    r->n = 0;
    memset(c, 0, offsetof(struct charges, slot));
    c->taken_s = ask_now_s(k);
    c->window_s = k->s->h->settings.limit_window_s;
    *ret_limits = NULL;
    collect(r);
    if (!charge_pairs(r))
        return ask_refuse(k, ERROR_OVERLOADED, (struct str){0});
    if (!r->n)
        return true;
    struct limits *out =
        arena_alloc(k->arena, sizeof *out + LIMIT_TYPES * r->n * sizeof *out->status);
    if (!out)
        return ask_refuse(k, ERROR_OVERLOADED, (struct str){0});
    out->n = 0;
    if (!take_all(r, LIMIT_REQUESTS, 1, out))
        return false;
    if (!hold(r)) {
        undo(r);
        return ask_refuse(k, ERROR_OVERLOADED, (struct str){0});
    }
    if (!take_all(r, LIMIT_PARALLEL, 1, out))
        return false;
    if (smallest_tpm(r) != LIMIT_NONE) {
        c->reserved = tokens_estimate(r);
        if (!take_all(r, LIMIT_TOKENS, c->reserved, out))
            return false;
    }
    *ret_limits = out;
    return true;
}
