/*
 * Budgets whose period is over (store/migrations/0007_spend.sql). Data planes begin the next one by
 * themselves, when it is time; this is so that LiteLLM's columns say the same. A row is written
 * once for each period, by whoever sees first that it is over.
 */

#include "common/clock.h"

#include "config.h"
#include "daemon.h"
#include "jobs/jobs.h"

enum { MOST = 10000 }; /* rows of a run */

/* Nobody's period ends because one of two clocks is ahead. */
#define NOW   "least(to_timestamp($1::bigint / 1e6), now()) AT TIME ZONE 'UTC'"
#define RULES "weir.zone($2), $3::time"

static bool is_off(const struct job *j)
{
    return config_bool(&j->d->config->file, SETTING_GENERAL_disable_reset_budget);
}

/* All that were due: usage of theirs may be taken (ingest/periods.h). */
static void done(struct job *j, const char *name, struct rows r)
{
    j->again = rows_int(r, 0, 0) == MOST;
    if (!j->again)
        (void)TX_QUERY(&j->store.tx,
                       "INSERT INTO weir.periods_begun AS p (job, at) VALUES ($1, now())"
                       " ON CONFLICT (job) DO UPDATE SET at = excluded.at"
                       " WHERE p.at < now() - interval '1 minute'",
                       DB_TEXT(str_of(name)));
}

#define RESET_ROWS(tbl, key, log, due)                                                             \
    "SELECT weir.reset_rows('" tbl "', '" key "', '" log "', '" due "', " NOW ", " RULES ", $4)"

static void reset_rows(struct job *j, const char *name, const char *sql)
{
    const struct config *c = j->d->config;

    if (!is_off(j))
        done(j, name,
             TX_QUERY(&j->store.tx, sql, DB_INT(clock_wall_us()), DB_TEXT(c->zone),
                      DB_TEXT(c->reset_time), DB_INT(MOST)));
}

void job_reset_keys(struct job *j)
{
    reset_rows(j, "keys",
               RESET_ROWS("LiteLLM_VerificationToken", "token", "api_key",
                          "t.budget_reset_at <= $1 AND (t.expires IS NULL OR t.expires > $1)"));
}

#define DUE                                                                                        \
    "t.budget_reset_at <= $1 OR (t.budget_reset_at IS NULL AND t.budget_duration IS NOT NULL)"

void job_reset_users(struct job *j)
{
    reset_rows(j, "users", RESET_ROWS("LiteLLM_UserTable", "user_id", "user", "(" DUE ")"));
}

void job_reset_teams(struct job *j)
{
    reset_rows(j, "teams", RESET_ROWS("LiteLLM_TeamTable", "team_id", "team_id", "(" DUE ")"));
}

void job_reset_budgets(struct job *j)
{
    const struct config *c = j->d->config;
    struct str standard = config_text(&c->file, SETTING_LITELLM_max_end_user_budget_id);

    if (is_off(j))
        return;
    (void)TX_QUERY0(&j->store.tx, "SET LOCAL statement_timeout = '55s'"); /* many end users */
    done(j, "budgets",
         TX_QUERY(&j->store.tx, "SELECT weir.reset_budgets(" NOW ", " RULES ", $4, $5)",
                  DB_INT(clock_wall_us()), DB_TEXT(c->zone), DB_TEXT(c->reset_time), DB_INT(MOST),
                  standard.n ? DB_TEXT(standard) : DB_NULL));
}
