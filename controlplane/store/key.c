#include "store/key.h"

#include "common/clock.h"

/* No index keeps aliases apart: those who want the same one wait for each other. */
bool key_alias_is_taken(struct store *s, struct str alias, struct str except)
{
    (void)TX_QUERY(&s->tx, "SELECT pg_advisory_xact_lock(hashtextextended('key_alias ' || $1, 0))",
                   DB_TEXT(alias));
    return TX_QUERY(&s->tx,
                    "SELECT FROM \"LiteLLM_VerificationToken\""
                    " WHERE key_alias = $1 AND token <> $2 LIMIT 1",
                    DB_TEXT(alias), DB_TEXT(except))
               .n > 0;
}

void key_archive(struct store *s, const yyjson_mut_val *row, const struct key_deletion *who)
{
    yyjson_mut_val *copy = row_copy(s, row);

    row_put_text(s, copy, "id", store_uuid(s));
    row_put_text(s, copy, "deleted_at", store_time(s, clock_wall_us()));
    row_put_text(s, copy, "deleted_by", who->by);
    row_put_text(s, copy, "deleted_by_api_key", who->by_key_hash);
    row_put_text(s, copy, "litellm_changed_by", who->changed_by);
    (void)store_insert(s, TABLE_DELETED_KEY, copy);
}

void key_deprecate(struct store *s, struct str old_hash, struct str new_hash, int64_t revoke_at_us)
{
    (void)TX_QUERY(
        &s->tx,
        "INSERT INTO \"LiteLLM_DeprecatedVerificationToken\""
        " (id, token, active_token_id, revoke_at) VALUES ($1, $2, $3, $4::timestamp)"
        " ON CONFLICT (token) DO UPDATE"
        " SET active_token_id = excluded.active_token_id, revoke_at = excluded.revoke_at",
        DB_TEXT(store_uuid(s)), DB_TEXT(old_hash), DB_TEXT(new_hash),
        DB_TEXT(store_time(s, revoke_at_us)));
    /* older ones of the same key point at the new one as well */
    (void)TX_QUERY(&s->tx,
                   "UPDATE \"LiteLLM_DeprecatedVerificationToken\" SET active_token_id = $2"
                   " WHERE active_token_id = $1",
                   DB_TEXT(old_hash), DB_TEXT(new_hash));
}

static struct key_promise promise_of(struct rows r)
{
    return (struct key_promise){rows_int(r, 0, 0), rows_int(r, 0, 1)};
}

struct key_promise key_promised_in_team(struct store *s, struct str team_id, struct str except)
{
    return promise_of(TX_QUERY(&s->tx,
                               "SELECT coalesce(sum(rpm_limit), 0), coalesce(sum(tpm_limit), 0)"
                               " FROM \"LiteLLM_VerificationToken\""
                               " WHERE team_id = $1 AND token <> $2",
                               DB_TEXT(team_id), DB_TEXT(except)));
}

struct key_promise key_promised_in_org(struct store *s, struct str organization_id,
                                       struct str except)
{
    return promise_of(TX_QUERY(&s->tx,
                               "SELECT coalesce(sum(rpm_limit), 0), coalesce(sum(tpm_limit), 0)"
                               " FROM \"LiteLLM_VerificationToken\""
                               " WHERE organization_id = $1 AND token <> $2",
                               DB_TEXT(organization_id), DB_TEXT(except)));
}

yyjson_mut_val *key_lock_all(struct store *s, const struct str *hashes, size_t n)
{
    return STORE_LIST(s, TABLE_KEY, "WHERE t.token = ANY ($1::text[]) ORDER BY t.token FOR UPDATE",
                      DB_TEXTS(hashes, n));
}

yyjson_mut_val *key_lock_named(struct store *s, const struct str *aliases, size_t n)
{
    return STORE_LIST(s, TABLE_KEY,
                      "WHERE t.key_alias = ANY ($1::text[]) ORDER BY t.token FOR UPDATE",
                      DB_TEXTS(aliases, n));
}

yyjson_mut_val *key_deleted(struct store *s, struct str hash)
{
    return STORE_FIRST(s, TABLE_DELETED_KEY,
                       "WHERE t.token = $1 ORDER BY t.deleted_at DESC LIMIT 1", DB_TEXT(hash));
}
