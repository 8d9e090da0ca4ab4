#pragma once

/*
 * Generations: config.yaml, and what a control plane adds, compiled and handed to the manager. With
 * a control plane the first one waits a moment for what the database holds, and one that other
 * processes serve with already stays until that is known.
 */

#include "link/access.h"
#include "link/session.h"
#include "shared/counters.h"

struct builder;

struct builder_options {
    const char *path; /* of config.yaml; all borrowed for its life */
    struct shared *shared;
    const struct counters *counters;
    struct access *access;               /* told where its lines go */
    struct ship *ship;                   /* sends usage, where there is a control plane */
    struct transcript_ship *transcripts; /* and prompts with their replies; told how */
};

struct builder *builder_new(const struct builder_options *o); /* NULL: no memory */
/* Ends the session and saves what it served with. */
struct builder *builder_free(struct builder *b);

/* What the manager has when a link was restarted (CONTROL_GENERATION, _BASE, _OVERLAY); borrowed.
 */
void builder_in_force(struct builder *b, enum control_type type, int fd);

/* Reads the configuration: at start, and again. */
void builder_start(struct builder *b);
void builder_reload(struct builder *b);

/* What is due; to be called now and then, and with news when builder_fd() is readable (-1: no
 * session). */
int builder_fd(const struct builder *b);
void builder_tick(struct builder *b, uint64_t now_ns, bool has_news);

void builder_drain(struct builder *b);
bool builder_is_stuck(const struct builder *b, uint64_t now_ns); /* session_is_stuck() */

/* A control plane is configured. */
bool builder_has_plane(const struct builder *b);

/* What the workers serve with, as far as this link knows; NULL: nothing yet. */
const struct snapshot *builder_snapshot(const struct builder *b);
