#include "store/tag.h"

yyjson_mut_val *tag_models(struct store *s, const struct str *names, size_t n)
{
    if (!n)
        return NULL;
    return STORE_LIST(s, TABLE_MODEL,
                      "WHERE t.model_id = ANY ($1::text[]) OR t.model_name = ANY ($1::text[])"
                      " ORDER BY t.model_id LIMIT $2 FOR UPDATE",
                      DB_TEXTS(names, n), DB_INT(TAGS_MAX));
}

void tag_append_seen(struct store *s, yyjson_mut_val *list, struct str from, struct str to)
{
    struct rows r = TX_QUERY(
        &s->tx,
        "SELECT d.tag, to_jsonb(min(d.created_at)) #>> '{}', to_jsonb(max(d.updated_at)) #>> '{}'"
        " FROM \"LiteLLM_DailyTagSpend\" d WHERE d.tag IS NOT NULL"
        " AND ($1::text IS NULL OR (d.date >= $1 AND d.date <= $2))"
        " AND NOT EXISTS (SELECT FROM \"LiteLLM_TagTable\" t WHERE t.tag_name = d.tag)"
        " GROUP BY d.tag ORDER BY d.tag LIMIT $3",
        DB_TEXT_OR_NULL(from), DB_TEXT_OR_NULL(to), DB_INT(TAGS_MAX));

    for (int i = 0; i < r.n; i++) {
        yyjson_mut_val *one = row_new(s);
        row_put_text(s, one, "name", rows_text(r, i, 0));
        row_put_text(s, one, "description",
                     STR("This is just a spend tag that was passed dynamically in a request. It "
                         "does not control any LLM models."));
        row_put_null(s, one, "models");
        row_put_text(s, one, "created_at",
                     arena_printf(s->arena, STR_FMT "Z", STR_ARG(rows_text(r, i, 1))));
        row_put_text(s, one, "updated_at",
                     arena_printf(s->arena, STR_FMT "Z", STR_ARG(rows_text(r, i, 2))));
        row_append(s, list, one);
    }
}
