#pragma once

/*
 * The process: one loop thread that accepts, parses and answers, and two lanes of pool threads that
 * work. Everything a handler reaches beyond its call hangs here; nothing of it changes once
 * daemon_is_open(), and before no handler runs that needs the database.
 */

#include <uv.h>

#include "common/err.h"

struct config;
struct catalog;
struct db;
struct db_health;
struct http_server;
struct alerts;
struct jobs;
struct lane;
struct publish;
struct call;
struct arena;

struct daemon {
    const struct config *config;
    struct db_health *health;
    struct db *db[3];   /* by enum route_lane */
    struct db *replica; /* where reports read; NULL: as the others */
    struct db_health *replica_health;
    struct lane *lane[3]; /* the same */
    struct http_server *server;
    struct publish *publish;
    uv_loop_t *loop;
    const char *openapi; /* NUL behind it */
    /* once it is open: opener.c */
    struct catalog *catalog;
    struct jobs *jobs;
    struct alerts *alerts; /* NULL: nobody is told */
    /* private: daemon.c */
    struct daemon_priv *priv;
};

struct daemon_options { /* of the command line; NULL, -1: as the configuration says */
    const char *config, *host;
    int32_t port;
    bool adopt, migrate_only;
};

/* Runs until a signal ends it; the exit status. */
int daemon_main(const struct daemon_options *o);

/* Any thread: the database was there, and is what this program needs. */
bool daemon_is_open(const struct daemon *d);
void daemon_set_open(struct daemon *d);

/* On the loop: a signal has come, what runs may finish. */
bool daemon_is_ending(const struct daemon *d);

/* On the loop: sends a call's answer and frees it. */
void daemon_answer(struct daemon *d, struct call *c);

/* On a pool thread: c->stream has a piece for the loop. */
void daemon_pump(struct daemon *d, struct call *c);
