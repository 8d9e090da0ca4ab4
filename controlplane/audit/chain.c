#include "audit/chain.h"

#include <sodium.h>

#include "common/log.h"

#include "config.h"
#include "daemon.h"
#include "jobs/jobs.h"

static_assert(CHAIN_MAC == crypto_auth_hmacsha256_BYTES, "one hash for all");

enum {
    BATCH = 500, /* sealed in one transaction */
    PAGE = 1000, /* verified from one read */
    SHOWN_MAX = 100,
    GRACE_S = 60, /* an entry not sealed by then was kept from it */
};

/* What is sealed of an entry, in this order for ever; times as numbers, which no setting changes.
 */
#define ENTRY                                                                                      \
    "l.id, (extract(epoch FROM l.updated_at) * 1000)::bigint, l.changed_by,"                       \
    " l.changed_by_api_key, l.action, l.table_name, l.object_id, l.before_value,"                  \
    " l.updated_values, (extract(epoch FROM o.at) * 1000000)::bigint, o.ip, o.route, o.request_id"
enum { ENTRY_COLUMNS = 13 };

struct key {
    unsigned char bytes[32];
    char name[17];
};

/* Without a secret it is still a chain, which anybody can make. */
static void key_init(struct key *k, const struct seal_key *from)
{
    unsigned char name[32];

    if (!seal_key_derive(from, "weir-audit-1", k->bytes))
        memset(k->bytes, 0, sizeof k->bytes);
    crypto_auth_hmacsha256(name, (const unsigned char *)"name", 4, k->bytes);
    (void)sodium_bin2hex(k->name, sizeof k->name, name, sizeof k->name / 2);
}

static void add_u64(crypto_auth_hmacsha256_state *st, uint64_t v)
{
    unsigned char b[8];

    for (unsigned i = 0; i < 8; i++)
        b[i] = (unsigned char)(v >> (56 - 8 * i));
    crypto_auth_hmacsha256_update(st, b, sizeof b);
}

/* Replaces the mac before by that of the entry in columns `col`... of a row. */
static void link_entry(unsigned char mac[CHAIN_MAC], const struct key *k, int64_t seq,
                       struct rows r, int row, int col)
{
    crypto_auth_hmacsha256_state st;

    crypto_auth_hmacsha256_init(&st, k->bytes, sizeof k->bytes);
    crypto_auth_hmacsha256_update(&st, mac, CHAIN_MAC);
    add_u64(&st, (uint64_t)seq);
    for (int i = col; i < col + ENTRY_COLUMNS; i++) {
        struct str v = rows_text(r, row, i);
        add_u64(&st, rows_is_null(r, row, i) ? UINT64_MAX : v.n);
        crypto_auth_hmacsha256_update(&st, (const unsigned char *)v.p, v.n);
    }
    crypto_auth_hmacsha256_final(&st, mac);
}

static bool mac_read(unsigned char mac[CHAIN_MAC], struct str hex)
{
    size_t n = 0;

    return hex.p && sodium_hex2bin(mac, CHAIN_MAC, hex.p, hex.n, NULL, &n, NULL) == 0 &&
           n == CHAIN_MAC;
}

static struct str mac_hex(struct arena *a, const unsigned char mac[CHAIN_MAC])
{
    char *hex = arena_alloc(a, 2 * CHAIN_MAC + 1);

    return hex ? str_of(sodium_bin2hex(hex, 2 * CHAIN_MAC + 1, mac, CHAIN_MAC)) : (struct str){0};
}

/* ---- sealing ---- */

void job_audit_seal(struct job *j)
{
    struct store *s = &j->store;
    struct str ids[BATCH], macs[BATCH];
    unsigned char mac[CHAIN_MAC] = {0};
    struct key k;
    struct rows r = TX_QUERY(&s->tx,
                             "SELECT " ENTRY " FROM weir.audit_origin o JOIN \"LiteLLM_AuditLog\" l"
                             " ON l.id = o.audit_id WHERE NOT o.sealed ORDER BY o.seq LIMIT $1",
                             DB_INT(BATCH));

    if (!r.n)
        return;
    struct rows last = TX_QUERY0(&s->tx, "SELECT seq, encode(mac, 'hex') FROM weir.audit_seal"
                                         " ORDER BY seq DESC LIMIT 1");
    int64_t seq = rows_int(last, 0, 0);
    if (!tx_ok(&s->tx) || (last.n && !mac_read(mac, rows_text(last, 0, 1))))
        return;
    key_init(&k, &j->d->config->seal);
    for (int i = 0; i < r.n; i++) {
        link_entry(mac, &k, ++seq, r, i, 0);
        ids[i] = rows_text(r, i, 0);
        macs[i] = mac_hex(s->arena, mac);
    }
    (void)TX_QUERY(&s->tx,
                   "WITH sealed AS (UPDATE weir.audit_origin SET sealed = true"
                   "  WHERE audit_id = ANY ($2::text[]))"
                   " INSERT INTO weir.audit_seal (seq, audit_id, mac, key)"
                   " SELECT $1::bigint - cardinality($2::text[]) + n, id, decode(m, 'hex'), $4"
                   " FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u (id, m, n)",
                   DB_INT(seq), DB_TEXTS(ids, (size_t)r.n), DB_TEXTS(macs, (size_t)r.n),
                   DB_TEXT(str_of(k.name)));
    j->again = r.n == BATCH;
    if (tx_ok(&s->tx))
        log_info("audit_sealed", "seq=%lld hash=" STR_FMT, (long long)seq, STR_ARG(macs[r.n - 1]));
}

/* ---- verifying ---- */

struct verify {
    struct store *s;
    struct key key;
    int64_t seq; /* of the last link seen */
    unsigned char mac[CHAIN_MAC];
    struct str at;
    int64_t verified, n_broken;
    yyjson_mut_val *broken;
};

static void broken(struct verify *v, int64_t seq, struct str id, const char *reason)
{
    struct store *s = v->s;
    yyjson_mut_val *one;

    if (++v->n_broken > SHOWN_MAX)
        return;
    one = row_new(s);
    if (seq)
        row_put_int(s, one, "seq", seq);
    else
        row_put_null(s, one, "seq");
    row_put_text(s, one, "id", id);
    row_put_text(s, one, "reason", str_of(reason));
    row_append(s, v->broken, one);
}

/* A link: seq, audit_id, mac, key, at, whether the entry is there, the entry. */
static void verify_link(struct verify *v, struct rows r, int row)
{
    int64_t seq = rows_int(r, row, 0);
    struct str id = rows_text(r, row, 1);
    bool follows = seq == v->seq + 1, is_mac;
    unsigned char stored[CHAIN_MAC], mac[CHAIN_MAC];
    const char *reason = NULL;

    memcpy(mac, v->mac, sizeof mac);
    is_mac = mac_read(stored, rows_text(r, row, 2));
    if (!follows)
        broken(v, v->seq + 1, (struct str){0}, "links before the next one are missing");
    if (!is_mac)
        reason = "its link holds no hash";
    else if (!rows_bool(r, row, 5))
        reason = "the entry is missing";
    else if (!str_eq(rows_text(r, row, 3), str_of(v->key.name)))
        reason = "sealed under another key";
    else if (follows) {
        link_entry(mac, &v->key, seq, r, row, 6);
        if (sodium_memcmp(mac, stored, CHAIN_MAC) != 0)
            reason = "the entry, or its link, was changed";
    }
    if (reason)
        broken(v, seq, id, reason);
    else if (follows)
        v->verified++;
    /* go on from what stands there: one change is one report */
    v->seq = seq;
    if (is_mac)
        memcpy(v->mac, stored, sizeof v->mac);
}

/* Where verifying begins. */
static void start_at(struct verify *v, const struct chain_from *from)
{
    struct rows r = TX_QUERY(
        &v->s->tx, "SELECT audit_id, encode(mac, 'hex') FROM weir.audit_seal WHERE seq = $1",
        DB_INT(from->seq));
    struct str stored = rows_text(r, 0, 1);

    v->seq = from->seq;
    if (!tx_ok(&v->s->tx))
        return;
    if (!r.n || (from->mac.n && !str_ieq(stored, from->mac)))
        broken(v, from->seq, rows_text(r, 0, 0), "it is not the link that was noted");
    if (!mac_read(v->mac, r.n ? stored : from->mac)) /* one change is one report */
        memset(v->mac, 0, sizeof v->mac);
}

static void verify_links(struct verify *v)
{
    struct rows r;
    char at[64];

    do {
        r = TX_QUERY(&v->s->tx,
                     "SELECT z.seq, z.audit_id, encode(z.mac, 'hex'), z.key,"
                     " to_char(z.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"
                     " l.id IS NOT NULL AND o.audit_id IS NOT NULL, " ENTRY
                     " FROM (SELECT * FROM weir.audit_seal WHERE seq > $1 ORDER BY seq LIMIT $2) z"
                     " LEFT JOIN weir.audit_origin o ON o.audit_id = z.audit_id"
                     " LEFT JOIN \"LiteLLM_AuditLog\" l ON l.id = z.audit_id ORDER BY z.seq",
                     DB_INT(v->seq), DB_INT(PAGE));
        for (int i = 0; i < r.n; i++)
            verify_link(v, r, i);
        if (r.n) {
            struct str last = rows_text(r, r.n - 1, 4);
            (void)snprintf(at, sizeof at, STR_FMT, STR_ARG(last));
            v->at = str_of(at);
        }
        tx_forget(&v->s->tx);
    } while (r.n == PAGE);
    v->at = v->at.n ? arena_str(v->s->arena, v->at) : v->at;
}

/* Entries of ours that no link covers: some are new, older ones were kept from it. */
static int64_t find_unsealed(struct verify *v)
{
    struct rows r =
        TX_QUERY(&v->s->tx,
                 "SELECT o.audit_id, o.at < now() - make_interval(secs => $1), count(*) OVER ()"
                 " FROM weir.audit_origin o WHERE NOT EXISTS (SELECT FROM weir.audit_seal z"
                 "  WHERE z.audit_id = o.audit_id) ORDER BY o.seq LIMIT $2",
                 DB_INT(GRACE_S), DB_INT(SHOWN_MAX));

    for (int i = 0; i < r.n; i++)
        if (rows_bool(r, i, 1))
            broken(v, 0, rows_text(r, i, 0), "the entry was never sealed");
    return rows_int(r, 0, 2);
}

yyjson_mut_val *chain_verify(struct store *s, const struct seal_key *k,
                             const struct chain_from *from)
{
    struct verify v = {.s = s, .broken = row_list(s)};
    yyjson_mut_val *out = row_new(s), *last = row_new(s);

    key_init(&v.key, k);
    tx_begin_read_only(&s->tx); /* what is sealed meanwhile is not counted twice, nor missed */
    if (from->seq)
        start_at(&v, from);
    verify_links(&v);
    int64_t pending = find_unsealed(&v);
    tx_end_read_only(&s->tx);
    if (!tx_ok(&s->tx))
        return NULL;
    row_put_int(s, out, "verified", v.verified);
    row_put_int(s, last, "seq", v.seq);
    row_put_text(s, last, "hash", mac_hex(s->arena, v.mac));
    row_put_text(s, last, "at", v.at);
    row_put(s, out, "last", v.seq ? last : NULL);
    row_put_int(s, out, "pending", pending);
    row_put_int(s, out, "broken_total", v.n_broken);
    row_put(s, out, "broken", v.broken);
    return out;
}
