#pragma once

/*
 * Takes prompts with their replies out of the workers' rings (shared/transcripts.h), writes them as
 * they are stored, seals them and sends them to the control plane: a thread of its own over a lane
 * of its own, which runs once storing is on. Neither a disk nor a queue is between: what is not
 * taken stays in the rings, and what finds no room there is dropped by the worker.
 *
 *   ring ─▶ transcript_text ─▶ seal ─▶ Transcripts ─▶ taken: the tail moves
 *     ▲                                     │
 *     └── back off ◀── no answer, no database
 */

#include "link/plane.h"
#include "shared/region.h"
#include "shared/transcripts.h"

struct transcript_ship;

struct transcript_ship *transcript_ship_new(struct shared *shared,
                                            const struct transcripts *rings); /* both borrowed */

/* Ends the thread. The session is closed before. */
struct transcript_ship *transcript_ship_free(struct transcript_ship *s);

struct transcript_config {
    struct str secret;   /* seals them; borrowed for the call */
    uint32_t string_max; /* characters of a text */
    bool is_on;
};

/* What a configuration says, at start and again. ERRC_SYS, ERRC_INVALID. */
MUST_CHECK enum errc transcript_ship_configure(struct transcript_ship *s,
                                               const struct transcript_config *c, struct err *e);

/* As ship_session(). */
void transcript_ship_session(struct transcript_ship *s, struct plane *plane,
                             const unsigned char *name, size_t n);

/* Nothing waits, or nobody takes it. */
bool transcript_ship_is_done(struct transcript_ship *s);
