#include "link/builder.h"

#include <malloc.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

#include "link/config.h"
#include "snapshot/build.h"
#include "snapshot/view.h"

enum {
    BUILD_MS = 250,         /* from one generation to the next, where documents ask for them */
    FIRST_BUILD_MS = 15000, /* the first one waits for what the database holds at most */
};

struct builder {
    struct builder_options o;
    struct slots *slots;
    struct snapshot *in_force;   /* NULL: none yet */
    int base_fd, overlay_fd;     /* in force at start; -1: none */
    struct session *session;     /* NULL: no control plane */
    struct documents *documents; /* merged into the next generation; NULL: none */
    bool has_built;              /* this link made one */
    bool is_due;
    bool is_behind;  /* something came that no generation was made of */
    bool is_known;   /* what the database holds */
    uint64_t due_ns; /* a generation is made then, where one is due */
    uint32_t notes;  /* what was told of the configuration */
    bool has_notes;
};

static enum errc tell(void *ctx, enum control_type type, uint64_t n, int fd, struct err *e)
{
    const struct control_msg msg = {.type = type, .n = n};

    (void)ctx;
    return control_send(CONTROL_FD, &msg, fd, e);
}

static void tell_refused(uint64_t n, const char *text)
{
    struct control_msg msg = {.type = CONTROL_REFUSED, .n = n};
    struct err e;

    (void)snprintf(msg.text, sizeof msg.text, "%s", text);
    enum errc rc = control_send(CONTROL_FD, &msg, -1, &e);
    if (rc && rc != ERRC_CLOSED) /* its end shows in the loop */
        log_warn("message_not_sent", "type=%d error=\"%s\"", (int)CONTROL_REFUSED, e.msg);
}

/* Keeps a mapping of what the workers serve with: for the access log and prices. */
static void keep(struct builder *b, int fd)
{
    struct snapshot *snap;
    struct err e;

    if (snapshot_open(&snap, fd, &e)) {
        log_error("generation_unreadable", "error=\"%s\"", e.msg);
        return;
    }
    b->in_force = snapshot_unref(b->in_force);
    b->in_force = snap;
    slots_adopt(b->slots, snap); /* counters stay with their deployments */
    access_set_sink(b->o.access, snap_str(snap, snap->h->settings.access_log));
}

/* ---- one generation ---- */

/* What was told stays told until it changes: documents make a generation a few times a second. */
static enum errc judge(struct builder *b, struct config *c, struct err *e)
{
    uint32_t notes = config_file_notes(&c->file);

    c->file.is_told = b->has_notes && notes == b->notes;
    b->has_notes = true;
    b->notes = notes;
    return config_file_verdict(&c->file, e);
}

static enum errc read_config(struct builder *b, struct config **ret_c, struct err *e)
{
    const struct documents *d = b->documents;

    return config_read_with(ret_c, b->o.path, d ? d->rows : NULL, d ? d->n : 0, config_environ,
                            NULL, e);
}

/* What the session is told of rows that could not be used; NULL: all could. */
static const char *row_error(const struct config *c)
{
    for (const struct conf_note *n = c->file.rows.first; n; n = n->next)
        if (n->severity == CONF_ERROR)
            return n->text.p;
    return NULL;
}

static enum errc publish(struct builder *b, const struct config *c, uint64_t n, struct err *e)
{
    int fd;
    enum errc rc = snapshot_build(&fd, c, n, b->slots, e);

    if (rc)
        return rc;
    rc = tell(NULL, CONTROL_GENERATION, n, fd, e);
    if (rc && rc != ERRC_CLOSED) /* its end shows in the loop */
        log_warn("message_not_sent", "type=%d error=\"%s\"", (int)CONTROL_GENERATION, e->msg);
    keep(b, fd);
    close(fd);
    return ERRC_OK;
}

static void tell_transcripts(struct builder *b, const struct config *c)
{
    const struct transcript_config tc = {
        .secret = config_secret(c),
        .string_max = config_u32(&c->file, SETTING_ENV_MAX_STRING_LENGTH_PROMPT_IN_DB),
        .is_on = config_stores_prompts(c),
    };
    struct err e;

    if (transcript_ship_configure(b->o.transcripts, &tc, &e))
        log_error("transcripts_not_sent", "error=\"%s\" consequence=\"prompts are not stored\"",
                  e.msg);
}

/* With a configuration that was read, or NULL: `why` it could not be. */
static void make(struct builder *b, struct config *c, struct err *why)
{
    uint64_t n = atomic_fetch_add(&b->o.shared->header->generation, 1) + 1;
    uint64_t version = b->documents ? b->documents->version : 0;
    enum errc rc = c ? judge(b, c, why) : ERRC_INVALID;

    if (!rc)
        rc = publish(b, c, n, why);
    if (!rc)
        tell_transcripts(b, c);
    if (rc)
        tell_refused(n, why->msg);
    b->has_built = true;
    b->is_due = b->is_behind = false;
    b->due_ns = clock_mono_ns() + clock_ms(BUILD_MS);
    if (b->session && rc)
        session_built(b->session, version, 0, why->msg);
    else if (b->session)
        session_built(b->session, version, n, row_error(c));
}

static void build(struct builder *b)
{
    AUTO_FREE(config) struct config *c = NULL;
    struct err e = {0};

    if (read_config(b, &c, &e))
        make(b, NULL, &e);
    else
        make(b, c, &e);
}

/* ---- the session ---- */

static struct session_config session_config(const struct config *c)
{
    return (struct session_config){&c->plane, c->file.hash, config_secret(c)};
}

static void drop_fds(struct builder *b)
{
    if (b->base_fd >= 0)
        close(b->base_fd);
    if (b->overlay_fd >= 0)
        close(b->overlay_fd);
    b->base_fd = b->overlay_fd = -1;
}

static enum errc open_session(struct builder *b, const struct config *c, struct err *e)
{
    const char *state_dir = getenv("WEIR_STATE_DIR");
    const struct session_config sc = session_config(c);
    const struct session_options o = {
        .state_dir = state_dir ? state_dir : ".",
        .shared = b->o.shared,
        .ship = b->o.ship,
        .transcripts = b->o.transcripts,
        .counters = b->o.counters,
        .publish = tell,
    };
    enum errc rc = session_open(&b->session, &o, &sc, b->base_fd, b->overlay_fd, e);

    if (!rc)
        rc = session_start(b->session, e);
    if (rc)
        b->session = session_close(b->session);
    drop_fds(b);
    return rc;
}

/* What the configuration says of a control plane now. */
static void renew(struct builder *b, const struct config *c)
{
    const struct session_config sc = session_config(c);
    enum errc rc = ERRC_OK;
    struct err e;

    if (b->session && !c->plane.n_addresses)
        log_warn("control_plane_kept", "consequence=\"left with the next start\"");
    else if (b->session)
        rc = session_renew(b->session, &sc, &e);
    else if (c->plane.n_addresses)
        rc = open_session(b, c, &e);
    if (rc)
        log_error("session_not_renewed", "error=\"%s\"", e.msg);
}

static void take_news(struct builder *b)
{
    struct session_news news;
    bool was_known = b->is_known;

    if (!session_news(b->session, &news))
        return;
    b->is_known = news.is_known;
    if (news.documents) {
        b->documents = documents_free(b->documents);
        b->documents = news.documents;
    }
    b->is_behind |= news.documents || !was_known;
    /* Nothing in force: whatever is there now is better. Else only what is known. */
    if (news.is_known && b->is_behind && news.is_settled)
        b->is_due = true;
    else if (!b->in_force && (news.is_settled || news.is_known))
        b->is_due = true;
}

/* ---- for the loop ---- */

struct builder *builder_new(const struct builder_options *o)
{
    struct builder *b = calloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->o = *o;
    b->base_fd = b->overlay_fd = -1;
    b->slots = slots_new();
    return b->slots ? b : builder_free(b);
}

struct builder *builder_free(struct builder *b)
{
    if (!b)
        return NULL;
    b->session = session_close(b->session);
    b->documents = documents_free(b->documents);
    b->in_force = snapshot_unref(b->in_force);
    b->slots = slots_free(b->slots);
    drop_fds(b);
    free(b);
    return NULL;
}

void builder_in_force(struct builder *b, enum control_type type, int fd)
{
    int *to = type == CONTROL_BASE ? &b->base_fd : &b->overlay_fd;

    if (type == CONTROL_GENERATION) {
        keep(b, fd);
    } else if (!b->session) { /* later there is no need to be told */
        if (*to >= 0)
            close(*to);
        *to = dup(fd);
    }
}

void builder_start(struct builder *b)
{
    AUTO_FREE(config) struct config *c = NULL;
    struct err e = {0};
    enum errc rc = read_config(b, &c, &e);

    if (rc || c->file.log.n_errors || !c->plane.n_addresses) {
        atomic_store(&b->o.shared->header->session_ns, 0);
        make(b, rc ? NULL : c, &e);
    } else if (open_session(b, c, &e)) {
        log_error("session_not_started", "error=\"%s\" consequence=\"served without it\"", e.msg);
        make(b, c, &e);
    } else {
        b->due_ns = clock_mono_ns() + clock_ms(b->in_force ? BUILD_MS : FIRST_BUILD_MS);
        builder_tick(b, clock_mono_ns(), true); /* what was loaded is served at once */
    }
    (void)malloc_trim(0); /* reading a configuration takes megabytes, running takes none */
}

void builder_reload(struct builder *b)
{
    AUTO_FREE(config) struct config *c = NULL;
    struct err e = {0};

    if (b->session && !b->is_known && b->in_force && !b->has_built) {
        log_warn("reload_waits", "consequence=\"done once the database's models are known\"");
        return; /* it is then due by itself */
    }
    if (read_config(b, &c, &e)) {
        make(b, NULL, &e);
    } else {
        make(b, c, &e);
        if (!c->file.log.n_errors)
            renew(b, c);
    }
    (void)malloc_trim(0);
}

bool builder_is_stuck(const struct builder *b, uint64_t now_ns)
{
    return b->session && session_is_stuck(b->session, now_ns);
}

int builder_fd(const struct builder *b)
{
    return b->session ? session_fd(b->session) : -1;
}

void builder_tick(struct builder *b, uint64_t now_ns, bool has_news)
{
    if (!b->session)
        return;
    if (has_news)
        take_news(b);
    bool is_late = now_ns >= b->due_ns, is_first = !b->has_built && !b->in_force;
    if (is_first ? b->is_due || is_late : b->is_due && is_late) {
        build(b);
        (void)malloc_trim(0);
    }
}

void builder_drain(struct builder *b)
{
    if (b->session)
        session_drain(b->session);
}

bool builder_has_plane(const struct builder *b)
{
    return b->session != NULL;
}

const struct snapshot *builder_snapshot(const struct builder *b)
{
    return b->in_force;
}
