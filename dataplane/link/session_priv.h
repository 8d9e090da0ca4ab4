#pragma once

/* Between the files of session.h's list. */

#include <pthread.h>

#include "common/gateway/join.h"

#include "link/name_file.h"
#include "link/plane.h"
#include "link/session.h"
#include "link/totals.h"

enum { POD_NAME = NAME_FILE, SESSION_PROTOCOL = 1, SESSION_PROTOCOL_OLDEST = 1 };

struct params { /* struct session_config, owned */
    struct arena arena;
    struct join join;
    struct str config_hash;
    unsigned char key[DIRECTORY_KEY];
    bool has_key;
};

/* What is shared with the thread that builds generations; under the lock. */
struct exchange_of_news {
    struct params *params; /* to be taken over; NULL: none */
    struct documents *documents;
    bool is_known, is_settled, is_draining;
    uint64_t version, generation; /* documents of that version are in force with it, */
    char error[200];              /* or not, or not all of them; "": they are */
};

struct session {
    struct session_options o;
    struct params *params;
    struct plane *plane;
    struct directory *directory;
    struct totals totals;
    pthread_t thread;
    bool has_thread;
    int wake; /* eventfd */
    unsigned char pod[POD_NAME];
    char host[256];

    pthread_mutex_t lock;
    struct exchange_of_news news;

    /* the thread's own */
    struct arena arena; /* one answer, one request */
    unsigned address;   /* the one that is tried or used */
    unsigned failures;  /* in a row */
    bool is_refused;    /* the last of them: nobody listens */
    unsigned hellos;    /* since a question was answered */
    unsigned char name[64];
    size_t name_len; /* 0: no session */
    unsigned heartbeat_ms;
    bool has_status; /* the other end knows Status */
    uint64_t status_ns, saved_ns;
    bool is_dirty;      /* changed since the last save */
    bool is_synced;     /* everything was told at least once */
    int base, overlay;  /* sealed and not yet handed on; -1: none */
    uint64_t documents; /* version given to the builder */
    char error[200];    /* why the last revision could not be taken whole; "": it was */
    char status_error[200];
    unsigned told; /* bits: said once of this control plane */
    uint64_t lost_ns, told_lost_ns;
};

/* ---- session_local.c ---- */

struct params *params_new(const struct session_config *c);
struct params *params_free(struct params *p);
DEFINE_AUTO_FREE(params)

/* The pod's name, kept in state_dir: another one each time where that cannot be. */
void session_name_pod(struct session *s);

/* True: something was loaded. Says once why not, but for a file that is not there. */
bool session_load(struct session *s);
void session_save(struct session *s);

/* ---- session_publish.c ---- */

/* Seals what was applied as `r`, and hands on what is not yet. */
MUST_CHECK enum errc session_publish(struct session *s, struct directory_revision r, struct err *e);
/* Waits for the workers to serve with it, and where documents changed with those; within bounds. */
void session_await_workers(struct session *s, bool has_documents);

/* ---- status.c ---- */

/* Filled from shared memory and /proc; texts are borrowed from the session. */
void status_fill(Weir__Status *st, Weir__Revision *have, struct session *s);
