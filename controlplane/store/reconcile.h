#pragma once

/*
 * Whether what is kept of spend in several places agrees: rows of LiteLLM_SpendLogs, the daily
 * tables, weir.total, LiteLLM's spend columns, the spools. Each comparison is one statement, so one
 * snapshot: what ingest commits meanwhile cannot look like a difference. Nothing is put right.
 *
 *   rows of a day  ──▶ daily tables of it ──▶ weir.total
 *        └───────────────────────▶ records taken of the spools
 */

#include "store/store.h"

struct finding {
    const char *check;
    struct str day, kind, id, field; /* day empty: of no day */
    struct str expected, found;      /* numbers */
};

struct findings {
    struct finding *f; /* in the arena */
    size_t n, cap, max;
    uint64_t total; /* those that were found, also beyond `max` */
};

/* `max` are kept. */
void findings_init(struct findings *f, size_t max);

/* Rows of a day against the daily tables; how many rows there are. Where rows of that day are gone
 * (retention) nothing is compared: -1. */
int64_t reconcile_day(struct store *s, struct str day, bool jobs_are_ours, struct findings *f);

/* Totals against the daily tables of all days, rows against what was taken of spools. */
void reconcile_totals(struct store *s, struct findings *f);

/* Records that are known to be missing: gaps of spools, refused and damaged ones. */
void reconcile_spools(struct store *s, struct findings *f);

/* A day that should be looked at: new rows came since it was, or it never was. Empty: none. */
struct str reconcile_next_day(struct store *s);
/* The day that was not looked at for the longest time; empty: none, or not for a day. */
struct str reconcile_oldest_day(struct store *s);
void reconcile_day_done(struct store *s, struct str day, int64_t rows);

/* Keeps findings of checks (and a day) in weir.difference; what it held of them before and is not
 * among them is gone. */
void reconcile_keep(struct store *s, const char *const *checks, size_t n_checks, struct str day,
                    const struct findings *f);
