#include "ingest/periods.h"

#include "common/clock.h"
#include "common/log.h"

/* All four jobs of jobs/reset.c, within half of what weir.reset_rows() looks back. */
static const char sql[] = "SELECT count(*) = 4 FROM weir.periods_begun"
                          " WHERE at > now() - interval '30 minutes'";

static const uint64_t ask_ns = UINT64_C(60000000000), wait_ns = UINT64_C(60000000000);

bool periods_begun(struct periods *p, struct tx *tx)
{
    uint64_t now_ns = clock_mono_ns(), begun_ns = atomic_load(&p->begun_ns), none = 0;

    if (begun_ns && now_ns - begun_ns < ask_ns)
        return true;
    bool ok = rows_bool(TX_QUERY0(tx, sql), 0, 0);
    if (!tx_ok(tx)) {
        atomic_store(&p->stale_ns, 0);
        return false;
    }
    if (!ok) {
        (void)atomic_compare_exchange_strong(&p->stale_ns, &none, now_ns);
        if (now_ns - atomic_load(&p->stale_ns) < wait_ns)
            return false;
        log_error("periods", "consequence=\"budgets whose period is over may have it begin late\"");
    }
    atomic_store(&p->stale_ns, 0);
    atomic_store(&p->begun_ns, now_ns);
    return true;
}
