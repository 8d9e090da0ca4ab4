/* Prompts and replies that came before their rows: store/migrations/0015_transcripts.sql moves
 * them. */

#include "jobs/jobs.h"

enum { SETTLED = 200 /* of a run */ };

void job_transcripts(struct job *j)
{
    struct tx *tx = &j->store.tx;

    if (!rows_bool(TX_QUERY0(tx, "SELECT EXISTS (SELECT FROM weir.transcript)"), 0, 0))
        return;
    (void)TX_QUERY0(
        tx, "DELETE FROM weir.transcript WHERE taken_at < clock_timestamp() - '1 hour'::interval");
    (void)TX_QUERY0(tx, "SET LOCAL weir.texts = on");
    struct rows r = TX_QUERY(tx, "SELECT weir.settle_transcripts($1)", DB_INT(SETTLED));
    j->again = rows_int(r, 0, 0) == SETTLED;
}
