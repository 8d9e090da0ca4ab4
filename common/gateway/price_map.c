/*
 * The compiled-in table keeps its figures as short lists of (item, value), because most of the
 * items of a model are not stated; a map from a file is an array of whole rows sorted by name. Both
 * are searched by halves. price_lookup() alone knows the other names of a model.
 */

#include "common/gateway/price_map.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yyjson.h>

#include "common/arena.h"
#include "common/gateway/provider.h"

enum { MAP_MAX_BYTES = 16 * 1024 * 1024, NAME_MAX_BYTES = 256 };

/* A cell of a row's figures: an item, or a part of a band, which CELL_ABOVE begins. */
enum { CELL_ABOVE = PRICE_ITEMS, CELL_INPUT, CELL_OUTPUT, CELL_CACHE_READ, CELL_CACHE_WRITE };

struct cell {
    uint32_t what; /* enum price_item, or CELL_* */
    int64_t value;
};

struct builtin {
    struct str name, provider;
    enum price_mode mode;
    uint32_t max_input_tokens, max_output_tokens, features;
    const struct cell *cells;
    size_t n_cells;
};

#define F(id)       | BIT(PRICE_FEATURE_##id)
#define P(id, pusd) {PRICE_##id, (pusd)},
#define B(above, input, output, read, write)                                                       \
    {CELL_ABOVE, (above)}, {CELL_INPUT, (input)}, {CELL_OUTPUT, (output)},                         \
        {CELL_CACHE_READ, (read)}, {CELL_CACHE_WRITE, (write)},
#define _          PRICE_UNKNOWN
#define CELLS(...) ((const struct cell[]){__VA_ARGS__{0}})
#define MODEL(model, vendor, price_mode, max_in, max_out, features, figures)                       \
    {STR_INIT(model), STR_INIT(vendor), PRICE_MODE_##price_mode, max_in,                           \
     max_out,         0 features,       CELLS(figures),          ARRAY_LEN(CELLS(figures)) - 1},
static const struct builtin builtins[] = {
#include "common/gateway/prices.def"
};
#undef F
#undef P
#undef B
#undef _
#undef CELLS
#undef MODEL

static const struct str mode_names[] = {
#define X(id, name) STR_INIT(name),
    PRICE_MODES(X)
#undef X
};

static const struct str feature_names[] = {
#define X(id, name) STR_INIT(name),
    PRICE_FEATURES(X)
#undef X
};

struct price_map {
    struct arena names;
    struct priced_model *rows;
    size_t n;
};

struct str price_mode_name(enum price_mode m)
{
    return mode_names[m];
}

struct str price_feature_name(enum price_feature f)
{
    return feature_names[f];
}

static int name_cmp(struct str a, struct str b)
{
    int c = memcmp(a.p, b.p, MIN(a.n, b.n));

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

/* --- rows ----------------------------------------------------------------------------------- */

static void builtin_row(const struct builtin *b, struct priced_model *ret)
{
    size_t bands = 0; /* begun so far */

    *ret = (struct priced_model){
        .name = b->name, .provider = b->provider, .mode = b->mode, .features = b->features};
    price_init(&ret->price);
    ret->price.max_input_tokens = b->max_input_tokens;
    ret->price.max_output_tokens = b->max_output_tokens;
    for (size_t i = 0; i < b->n_cells; i++) {
        const int64_t value = b->cells[i].value;
        const uint32_t what = b->cells[i].what;
        struct price_band *band = bands ? &ret->price.band[bands - 1] : NULL;

        if (what < PRICE_ITEMS)
            ret->price.item[what] = value;
        else if (what == CELL_ABOVE)
            ret->price.band[bands++].above_tokens = (uint64_t)value;
        else if (what == CELL_INPUT)
            band->input = value;
        else if (what == CELL_OUTPUT)
            band->output = value;
        else if (what == CELL_CACHE_READ)
            band->cache_read = value;
        else
            band->cache_write = value;
    }
}

size_t price_map_count(const struct price_map *m)
{
    return m ? m->n : ARRAY_LEN(builtins);
}

void price_map_row(const struct price_map *m, size_t i, struct priced_model *ret)
{
    ASSERT(i < price_map_count(m));
    if (m)
        *ret = m->rows[i];
    else
        builtin_row(&builtins[i], ret);
}

static struct str row_name(const struct price_map *m, size_t i)
{
    return m ? m->rows[i].name : builtins[i].name;
}

bool price_map_get(const struct price_map *m, struct str name, struct priced_model *ret)
{
    size_t from = 0, to = price_map_count(m);

    while (from < to) {
        size_t mid = from + (to - from) / 2;
        int c = name_cmp(name, row_name(m, mid));
        if (c == 0) {
            price_map_row(m, mid, ret);
            return true;
        }
        if (c < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return false;
}

/* --- LiteLLM's JSON --------------------------------------------------------------------------- */

static struct str json_text(yyjson_val *v)
{
    if (yyjson_is_raw(v))
        return (struct str){yyjson_get_raw(v), yyjson_get_len(v)};
    if (yyjson_is_str(v))
        return (struct str){yyjson_get_str(v), yyjson_get_len(v)};
    return (struct str){0};
}

static enum errc field_bad(struct str model, struct str field, struct err *e)
{
    return err_set(e, ERRC_INVALID, 0, "price map: model " STR_FMT ": " STR_FMT " is not usable",
                   (int)MIN(model.n, 100), model.p, (int)MIN(field.n, 100), field.p);
}

/* "vertex_ai-language-models" and the like are one provider with several price groups. */
static struct str provider_known_as(struct str group)
{
    if (str_starts(group, STR("vertex_ai-")))
        return STR("vertex_ai");
    if (str_eq(group, STR("bedrock_converse")))
        return STR("bedrock");
    if (str_starts(group, STR("fireworks_ai-")))
        return STR("fireworks_ai");
    return group;
}

static enum price_mode mode_named(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(mode_names); i++)
        if (str_eq(name, mode_names[i]))
            return (enum price_mode)i;
    return PRICE_MODE_UNKNOWN;
}

/* tiered_pricing: the first range is the plain price, the others are bands. */
static bool tiers_read(struct price *p, yyjson_val *tiers)
{
    static const char *const fields[] = {"input_cost_per_token", "output_cost_per_token",
                                         "cache_read_input_token_cost",
                                         "cache_creation_input_token_cost"};
    size_t i, max;
    yyjson_val *tier;

    yyjson_arr_foreach(tiers, i, max, tier)
    {
        struct str from = json_text(yyjson_arr_get_first(yyjson_obj_get(tier, "range")));
        struct price one;

        if (from.n == 0)
            continue; /* tiers by something else than the prompt's size */
        price_init(&one);
        if (price_set(&one, STR("max_input_tokens"), from) != PRICE_FIELD_SET)
            return false;
        for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
            struct str text = json_text(yyjson_obj_get(tier, fields[k]));
            if (text.n && price_set(&one, str_of(fields[k]), text) != PRICE_FIELD_SET)
                return false;
        }
        const struct price_band band = {one.max_input_tokens, one.item[PRICE_INPUT],
                                        one.item[PRICE_OUTPUT], one.item[PRICE_CACHE_READ],
                                        one.item[PRICE_CACHE_WRITE]};
        if (band.above_tokens == 0) {
            p->item[PRICE_INPUT] = band.input;
            p->item[PRICE_OUTPUT] = band.output;
            p->item[PRICE_CACHE_READ] = band.cache_read;
            p->item[PRICE_CACHE_WRITE] = band.cache_write;
        } else if (!price_add_band(p, &band)) {
            return false;
        }
    }
    return true;
}

static enum errc model_read(struct price_map *m, struct str name, yyjson_val *entry, struct err *e)
{
    struct priced_model *row = &m->rows[m->n];
    size_t i, max;
    yyjson_val *key, *value;

    *row = (struct priced_model){.name = arena_str(&m->names, name)};
    price_init(&row->price);
    yyjson_obj_foreach(entry, i, max, key, value)
    {
        struct str field = {yyjson_get_str(key), yyjson_get_len(key)};
        struct str text = json_text(value);

        if (str_eq(field, STR("litellm_provider"))) {
            row->provider = arena_str(&m->names, provider_known_as(text));
        } else if (str_eq(field, STR("mode"))) {
            row->mode = mode_named(text);
        } else if (str_eq(field, STR("tiered_pricing"))) {
            if (!tiers_read(&row->price, value))
                return field_bad(name, field, e);
        } else if (str_eq(field, STR("search_context_cost_per_query"))) {
            text = json_text(yyjson_obj_get(value, "search_context_size_medium"));
            if (text.n &&
                price_set(&row->price, STR("web_search_cost_per_request"), text) != PRICE_FIELD_SET)
                return field_bad(name, field, e);
        } else if (yyjson_is_true(value)) {
            for (size_t f = 0; f < ARRAY_LEN(feature_names); f++)
                if (str_eq(field, feature_names[f]))
                    row->features |= BIT(f);
        } else if (text.n && price_set(&row->price, field, text) == PRICE_FIELD_BAD) {
            return field_bad(name, field, e);
        }
    }
    m->n++;
    return ERRC_OK;
}

static int row_cmp(const void *a, const void *b)
{
    return name_cmp(((const struct priced_model *)a)->name, ((const struct priced_model *)b)->name);
}

static enum errc map_read(struct price_map *m, yyjson_val *root, struct err *e)
{
    size_t i, max;
    yyjson_val *key, *value;

    if (!yyjson_is_obj(root))
        return err_set(e, ERRC_INVALID, 0, "price map: not one JSON object");
    m->rows = calloc(MAX(yyjson_obj_size(root), 1), sizeof *m->rows);
    if (!m->rows)
        return err_set(e, ERRC_NOMEM, 0, "price map");
    yyjson_obj_foreach(root, i, max, key, value)
    {
        struct str name = {yyjson_get_str(key), yyjson_get_len(key)};

        if (!yyjson_is_obj(value) || str_eq(name, STR("sample_spec")))
            continue; /* it documents the fields */
        enum errc rc = model_read(m, name, value, e);
        if (rc)
            return rc;
    }
    if (!arena_ok(&m->names))
        return err_set(e, ERRC_NOMEM, 0, "price map");
    qsort(m->rows, m->n, sizeof *m->rows, row_cmp);
    for (i = 1; i < m->n; i++)
        if (str_eq(m->rows[i - 1].name, m->rows[i].name))
            return err_set(e, ERRC_INVALID, 0, "price map: model " STR_FMT " stands there twice",
                           (int)MIN(m->rows[i].name.n, 100), m->rows[i].name.p);
    return ERRC_OK;
}

struct price_map *price_map_free(struct price_map *m)
{
    if (!m)
        return NULL;
    arena_reset(&m->names);
    free(m->rows);
    free(m);
    return NULL;
}

enum errc price_map_parse(struct price_map **ret_map, struct str json, struct err *e)
{
    AUTO_FREE(price_map) struct price_map *m = calloc(1, sizeof *m);
    yyjson_read_err why;

    if (!m)
        return err_set(e, ERRC_NOMEM, 0, "price map");
    if (json.n > MAP_MAX_BYTES)
        return err_set(e, ERRC_LIMIT, 0, "price map: larger than %d MiB", MAP_MAX_BYTES >> 20);
    arena_init(&m->names, NULL, MAP_MAX_BYTES);
    /* Without YYJSON_READ_INSITU the input is not written to, whatever the type says. */
    yyjson_doc *doc =
        yyjson_read_opts((char *)(uintptr_t)json.p, json.n, YYJSON_READ_NUMBER_AS_RAW, NULL, &why);
    if (!doc)
        return err_set(e, ERRC_INVALID, 0, "price map: not JSON: %s at byte %zu", why.msg, why.pos);
    enum errc rc = map_read(m, yyjson_doc_get_root(doc), e);
    yyjson_doc_free(doc);
    if (rc)
        return rc;
    *ret_map = TAKE(m);
    return ERRC_OK;
}

/* Reads a regular file whole into *ret_text, which the caller frees. */
static enum errc file_read(const char *path, int fd, char **ret_text, size_t *ret_n, struct err *e)
{
    struct stat st;
    size_t n = 0;

    if (fstat(fd, &st) != 0)
        return err_set(e, ERRC_SYS, errno, "price map %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERRC_INVALID, 0, "price map %s: not a file", path);
    if (st.st_size > MAP_MAX_BYTES)
        return err_set(e, ERRC_LIMIT, 0, "price map %s: larger than %d MiB", path,
                       MAP_MAX_BYTES >> 20);
    char *text = malloc((size_t)st.st_size + 1);
    if (!text)
        return err_set(e, ERRC_NOMEM, 0, "price map %s", path);
    while (n < (size_t)st.st_size) {
        ssize_t got = read(fd, text + n, (size_t)st.st_size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int sys = errno;
            free(text);
            return err_set(e, ERRC_SYS, sys, "price map %s", path);
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *ret_text = text;
    *ret_n = n;
    return ERRC_OK;
}

enum errc price_map_load(struct price_map **ret_map, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    char *text = NULL;
    size_t n = 0;

    if (fd < 0)
        return err_set(e, ERRC_SYS, errno, "price map %s", path);
    enum errc rc = file_read(path, fd, &text, &n, e);
    close(fd);
    if (rc)
        return rc;
    rc = price_map_parse(ret_map, (struct str){text, n}, e);
    free(text);
    return rc;
}

/* --- the names of one model ---------------------------------------------------------------------
 */

/* Prefixes of a name that say where it runs; a price of their own stands under the full name. */
static const struct str geo_prefixes[] = {
    STR_INIT("us."), STR_INIT("eu."), STR_INIT("apac."),   STR_INIT("au."),
    STR_INIT("jp."), STR_INIT("ca."), STR_INIT("global."), STR_INIT("us-gov."),
    STR_INIT("us/"), STR_INIT("eu/"), STR_INIT("global/"),
};

static struct str without_geo(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(geo_prefixes); i++)
        if (str_starts(name, geo_prefixes[i]))
            return str_from(name, geo_prefixes[i].n);
    return name;
}

/* True when the last bytes of `s` fit `shape`, 'd' being a digit. */
static bool ends_in_shape(struct str s, struct str shape)
{
    if (s.n <= shape.n)
        return false;
    for (size_t i = 0; i < shape.n; i++) {
        char c = s.p[s.n - shape.n + i];
        if (shape.p[i] == 'd' ? c < '0' || c > '9' : c != shape.p[i])
            return false;
    }
    return true;
}

static struct str without_version(struct str name)
{
    static const struct str shapes[] = {STR_INIT("-dddd-dd-dd"), STR_INIT("-dddddddd")};
    struct str head, tail;

    if (str_cut(name, '@', &head, &tail) && head.n)
        return head;
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
        if (ends_in_shape(name, shapes[i]))
            return (struct str){name.p, name.n - shapes[i].n};
    /* "ft:gpt-4o-mini:org::id": a tuned model costs what its base, tuned, costs. */
    if (str_starts(name, STR("ft:")) && str_cut(str_from(name, 3), ':', &head, &tail))
        return (struct str){name.p, 3 + head.n};
    return name;
}

/* `name` below `prefix` as it is, then without region, without version, without both. */
static bool lookup_below(struct str prefix, struct str name, price_get_fn get, void *ctx)
{
    const struct str bare = without_geo(name);
    const struct str names[] = {name, bare, without_version(name), without_version(bare)};
    char full[NAME_MAX_BYTES] UNINITIALIZED;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        size_t n = prefix.n + names[i].n;
        bool again = false;

        for (size_t k = 0; k < i; k++)
            again = again || str_eq(names[k], names[i]);
        if (again || n > sizeof full || names[i].n == 0)
            continue;
        if (prefix.n)
            memcpy(full, prefix.p, prefix.n);
        memcpy(full + prefix.n, names[i].p, names[i].n);
        if (get(ctx, (struct str){full, n}))
            return true;
    }
    return false;
}

/* The prefix of a provider's names in the price map. */
static struct str map_prefix(struct str provider, char *buf, size_t size)
{
    static const struct {
        struct str id, prefix;
    } spelled[] = {
        {STR_INIT("amazon_nova"), STR_INIT("amazon-nova")},
        {STR_INIT("aiohttp_openai"), STR_INIT("openai")},
        {STR_INIT("azure_text"), STR_INIT("azure")},
        {STR_INIT("qwencloud"), STR_INIT("dashscope")},
        {STR_INIT("qwen_ai_platform"), STR_INIT("dashscope")},
        {STR_INIT("vertex_ai_beta"), STR_INIT("vertex_ai")},
    };

    for (size_t i = 0; i < ARRAY_LEN(spelled); i++)
        if (str_eq(provider, spelled[i].id))
            provider = spelled[i].prefix;
    if (provider.n == 0 || provider.n + 1 > size)
        return (struct str){0};
    memcpy(buf, provider.p, provider.n);
    buf[provider.n] = '/';
    return (struct str){buf, provider.n + 1};
}

bool price_lookup(struct str provider, struct str name, price_get_fn get, void *ctx)
{
    char buf[64];
    struct str head, rest;

    if (str_cut(name, '/', &head, &rest) && provider_find(head) &&
        (provider.n == 0 || str_eq(head, provider))) {
        provider = head;
        name = rest;
    }
    struct str prefix = map_prefix(provider, buf, sizeof buf);
    return (prefix.n && lookup_below(prefix, name, get, ctx)) ||
           lookup_below((struct str){0}, name, get, ctx);
}

struct map_search {
    const struct price_map *m;
    struct priced_model *ret;
};

static bool map_search_get(void *ctx, struct str name)
{
    struct map_search *s = ctx;

    return price_map_get(s->m, name, s->ret);
}

bool price_map_find(const struct price_map *m, struct str provider, struct str name,
                    struct priced_model *ret)
{
    struct map_search in_map = {m, ret}, in_table = {NULL, ret};

    return (m && price_lookup(provider, name, map_search_get, &in_map)) ||
           price_lookup(provider, name, map_search_get, &in_table);
}
