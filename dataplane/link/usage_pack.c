/* struct record to protobuf: strings are lent, not copied. */

#include "link/usage_pack.h"

#include "weir.pb-c.h"

enum { TAGS_MAX = 32, GROUPS_MAX = 8 };

static ProtobufCBinaryData text(const struct record *r, enum record_string which)
{
    struct str s = record_get(r, which);

    return (ProtobufCBinaryData){s.n, (uint8_t *)(uintptr_t)s.p};
}

/* Texts of one string, lent; returns how many. */
static size_t texts(ProtobufCBinaryData *out, size_t max, const struct record *r,
                    enum record_string which)
{
    struct str rest = record_get(r, which), one;
    size_t n = 0;

    while (rest.n && n < max) {
        (void)str_cut(rest, '\0', &one, &rest);
        out[n++] = (ProtobufCBinaryData){one.n, (uint8_t *)(uintptr_t)one.p};
    }
    return n;
}

size_t usage_pack(unsigned char *out, const struct record *r, uint64_t exchanges)
{
    Weir__Usage u;
    Weir__UsageRecord m;
    ProtobufCBinaryData tag[TAGS_MAX], group[GROUPS_MAX];

    weir__usage__init(&u);
    u.input = r->usage.input;
    u.cache_read = r->usage.cache_read;
    u.cache_write = r->usage.cache_write;
    u.cache_write_1h = r->usage.cache_write_1h;
    u.audio_in = r->usage.audio_in;
    u.image_in = r->usage.image_in;
    u.output = r->usage.output;
    u.reasoning = r->usage.reasoning;
    u.audio_out = r->usage.audio_out;
    u.image_out = r->usage.image_out;
    u.web_searches = r->usage.web_searches;
    u.tier = r->usage.tier;
    u.seen = r->usage.seen != 0;
    u.estimated = r->usage.estimated != 0;

    weir__usage_record__init(&m);
    m.request_id = text(r, RS_REQUEST_ID);
    m.response_id = text(r, RS_RESPONSE_ID);
    m.model = text(r, RS_MODEL);
    m.group = text(r, RS_GROUP);
    m.deployment = text(r, RS_DEPLOYMENT);
    m.upstream_model = text(r, RS_UPSTREAM_MODEL);
    m.provider = text(r, RS_PROVIDER);
    m.api_base = text(r, RS_API_BASE);
    m.key = text(r, RS_KEY);
    m.end_user = text(r, RS_END_USER);
    m.client_ip = text(r, RS_CLIENT_IP);
    m.trace_id = text(r, RS_TRACE_ID);
    m.user_agent = text(r, RS_USER_AGENT);
    m.error = text(r, RS_ERROR);
    m.key_alias = text(r, RS_KEY_ALIAS);
    m.team = text(r, RS_TEAM);
    m.user = text(r, RS_USER);
    m.organization = text(r, RS_ORGANIZATION);
    m.project = text(r, RS_PROJECT);
    m.tags = tag;
    m.n_tags = texts(tag, ARRAY_LEN(tag), r, RS_TAGS);
    m.budget_groups = group;
    m.n_budget_groups = texts(group, ARRAY_LEN(group), r, RS_BUDGET_GROUPS);
    m.exchanges = exchanges;
    m.status = r->status;
    m.upstream_status = r->upstream_status;
    m.api = r->api;
    m.attempt = r->attempt;
    m.stream = (r->flags & RECORD_STREAM) != 0;
    m.unpriced = (r->flags & RECORD_UNPRICED) != 0;
    m.client_gone = (r->flags & RECORD_CLIENT_GONE) != 0;
    m.died = (r->flags & RECORD_DIED) != 0;
    m.reused = (r->flags & RECORD_REUSED) != 0;
    m.retried = (r->flags & RECORD_ACCESS) == 0;
    m.start_us = r->start_us;
    m.first_us = r->first_us;
    m.end_us = r->end_us;
    m.total_ns = r->total_ns;
    m.upstream_ns = r->upstream_ns;
    m.first_byte_ns = r->first_byte_ns;
    m.connect_ns = r->connect_ns;
    m.overhead_ns = r->overhead_ns;
    m.bytes_in = r->bytes_in;
    m.bytes_out = r->bytes_out;
    m.upstream_bytes_in = r->upstream_bytes_in;
    m.upstream_bytes_out = r->upstream_bytes_out;
    m.usage = &u;
    m.cost_nusd = r->cost_nusd;
    m.input_nusd = r->input_nusd;
    m.output_nusd = r->output_nusd;
    m.cache_read_nusd = r->cache_read_nusd;
    m.cache_write_nusd = r->cache_write_nusd;
    return weir__usage_record__pack(&m, out);
}
