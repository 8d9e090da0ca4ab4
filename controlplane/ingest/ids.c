#include "ingest/ids.h"

#include "ingest/tally.h"

static struct str first_choice(const struct spent *s, struct arena *a)
{
    if (s->response_id.n)
        return s->response_id;
    if (!s->call_id.n) /* a sum of several */
        return arena_printf(a, "sum-%llx-%x-%llx", (unsigned long long)s->place.epoch,
                            s->place.region, (unsigned long long)s->place.seq);
    if (!s->m->retried)
        return s->call_id;
    return arena_printf(a, STR_FMT "-attempt-%u", STR_ARG(s->call_id),
                        s->m->attempt ? s->m->attempt - 1 : 0);
}

/* The call's attempts share its id. */
static struct str second_choice(const struct spent *s, struct arena *a)
{
    return arena_printf(a, STR_FMT "-" STR_FMT "-%u", STR_ARG(s->response_id), STR_ARG(s->call_id),
                        s->m->attempt);
}

static struct str last_choice(const struct spent *s, struct arena *a)
{
    struct str named = s->response_id.n ? s->response_id : s->call_id;

    return arena_printf(a, STR_FMT "-" STR_FMT "-%llx-%x-%llx", STR_ARG(named), STR_ARG(s->spool),
                        (unsigned long long)s->place.epoch, s->place.region,
                        (unsigned long long)s->place.seq);
}

static struct str other_choice(const struct spent *s, bool strict, struct arena *a)
{
    return !strict && s->response_id.n && s->call_id.n ? second_choice(s, a) : last_choice(s, a);
}

/* Those of `s` that the database has already: one lookup each, whatever the planner knows of the
 * table. */
static struct rows find(struct tx *tx, struct spent *const *s, size_t n, bool by_day)
{
    static const char everywhere[] =
        "SELECT d.id FROM unnest($1::text[]) AS d (id) CROSS JOIN LATERAL (SELECT FROM"
        " \"LiteLLM_SpendLogs\" l WHERE l.request_id = d.id LIMIT 1) x";
    static const char in_days[] =
        "SELECT d.id FROM unnest($1::text[]) AS d (id) CROSS JOIN LATERAL (SELECT FROM"
        " \"LiteLLM_SpendLogs\" l WHERE l.request_id = d.id"
        " AND l.\"startTime\" >= 'epoch'::timestamp + $2 * interval '1 day'"
        " AND l.\"startTime\" < 'epoch'::timestamp + $3 * interval '1 day' LIMIT 1) x";
    struct str *ids = arena_alloc(tx->arena, n * sizeof *ids);
    int32_t first = INT32_MAX, last = INT32_MIN;

    for (size_t i = 0; ids && i < n; i++) {
        ids[i] = s[i]->id;
        first = MIN(first, s[i]->day);
        last = MAX(last, s[i]->day);
    }
    const struct db_arg named = array_of_texts(tx->arena, ids, ids ? n : 0);
    if (!by_day)
        return TX_QUERY(tx, everywhere, named);
    return TX_QUERY(tx, in_days, named, DB_INT(first), DB_INT(last + 1));
}

void ids_decide(struct tx *tx, struct spent *const *s, size_t n, const struct ids_options *o,
                struct arena *a)
{
    struct tally seen;

    for (size_t i = 0; i < n; i++)
        s[i]->id = first_choice(s[i], a);
    struct rows r = find(tx, s, n, o->by_day);
    tally_init(&seen, tx->arena, 1);
    for (int i = 0; i < r.n; i++)
        tally_add(&seen, (const struct str[]){rows_text(r, i, 0)}, s[0]);
    for (size_t i = 0; i < n; i++) {
        size_t before = seen.n;
        tally_add(&seen, &s[i]->id, s[i]);
        if (seen.n == before)
            s[i]->id = other_choice(s[i], o->strict, a);
    }
    if (!arena_ok(tx->arena))
        tx->fault = DB_NOMEM;
    tx_forget(tx);
    arena_reset(tx->arena);
}
