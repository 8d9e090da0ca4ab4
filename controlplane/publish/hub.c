#include <pthread.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/log.h"

#include "publish/hub_priv.h"

enum {
    /* Another control plane's word for what a data plane has: so much may not have been seen when
     * that was said. */
    TOTALS_MARGIN_US = 10 * 1000 * 1000,
};

static const unsigned work_max[HUB_WORKS] = {
    [HUB_PAGE] = 2,
    [HUB_USAGE] = 1,
    [HUB_TRANSCRIPTS] = 1,
};

static void send_bytes(struct hub *h, void *to, struct str bytes)
{
    h->o.send(h->o.ctx, to, bytes);
}

static void refuse(struct hub *h, void *to, Weir__Refusal__Why why, const char *text)
{
    send_bytes(h, to, wire_refusal(&h->wire, why, text));
}

/* ---- sessions ---- */

bool session_is_live(const struct session *s, uint64_t now_ns)
{
    bool waits = s->parked;

    for (unsigned i = 0; i < HUB_WORKS; i++)
        waits |= s->n_working[i] > 0;
    return s->is_connected && (waits || now_ns < s->seen_ns + clock_ms(HUB_GONE_MS));
}

static bool may_work(const struct session *s, enum hub_work work)
{
    return s->n_working[work] < work_max[work];
}

static struct session *session_find(struct hub *h, const unsigned char *id)
{
    for (unsigned i = 0; i < h->n_sessions; i++)
        if (memcmp(h->sessions[i]->id, id, HUB_SESSION) == 0)
            return h->sessions[i];
    return NULL;
}

/* Forgets it; whoever waits is told so, or (`why` < 0) not at all. */
static void session_drop(struct hub *h, unsigned i, int why, const char *text)
{
    struct session *s = h->sessions[i];

    if (s->parked && why >= 0)
        refuse(h, s->parked, (Weir__Refusal__Why)why, text);
    else if (s->parked)
        send_bytes(h, s->parked, (struct str){0});
    free(s);
    h->sessions[i] = h->sessions[--h->n_sessions];
}

/* Room for one more: who has been gone longest makes it. */
static bool make_room(struct hub *h, uint64_t now_ns)
{
    unsigned oldest = h->n_sessions;

    if (h->n_sessions < HUB_SESSIONS)
        return true;
    for (unsigned i = 0; i < h->n_sessions; i++)
        if (!session_is_live(h->sessions[i], now_ns) &&
            (oldest == h->n_sessions || h->sessions[i]->seen_ns < h->sessions[oldest]->seen_ns))
            oldest = i;
    if (oldest == h->n_sessions)
        return false;
    session_drop(h, oldest, -1, "");
    return true;
}

/* What a peer says of itself, fit for logs and JSON. */
static void copy_text(char *out, size_t cap, const char *text)
{
    size_t n = 0;

    for (; text && text[n] && n + 1 < cap; n++)
        out[n] = text[n] >= 0x20 && text[n] < 0x7f ? text[n] : '?';
    out[n] = '\0';
}

/* ---- Hello ---- */

static const struct hub_token *token_find(const struct hub *h, struct str token)
{
    char hex[SHA256_HEX + 1];

    if (!token.n || !sha256_put_hex(hex, token))
        return NULL;
    for (size_t i = 0; i < h->n_tokens; i++)
        if (strcmp(h->tokens[i].hash, hex) == 0)
            return &h->tokens[i];
    return NULL;
}

static bool token_holds(const struct hub_token *t)
{
    return t && (!t->expires_us || clock_wall_us() < t->expires_us);
}

static void welcome(struct hub *h, void *to, const struct session *s, uint32_t protocol)
{
    Weir__Welcome w;
    Weir__Reply r;

    weir__welcome__init(&w);
    weir__reply__init(&r);
    w.protocol = protocol;
    w.version = (char *)(uintptr_t)h->o.version;
    w.session = (ProtobufCBinaryData){HUB_SESSION, (uint8_t *)(uintptr_t)s->id};
    w.config_hash =
        (ProtobufCBinaryData){h->o.config_hash.n, (uint8_t *)(uintptr_t)h->o.config_hash.p};
    w.heartbeat_ms = HUB_HEARTBEAT_MS;
    w.totals = true;
    r.is_case = WEIR__REPLY__IS_WELCOME;
    r.welcome = &w;
    send_bytes(h, to, wire_reply(&h->wire, &r));
}

static void on_hello(struct hub *h, void *to, struct hub_peer peer, const Weir__Hello *m,
                     uint64_t now_ns)
{
    const struct hub_token *token = token_find(h, str_of(m->token));
    struct session *s;

    if (m->protocol < h->o.oldest || m->oldest > h->o.protocol || m->oldest > m->protocol) {
        refuse(h, to, WEIR__REFUSAL__WHY__NO_PROTOCOL, "no protocol in common");
        return;
    }
    if (m->pod.len != POD) {
        refuse(h, to, WEIR__REFUSAL__WHY__MALFORMED, "pod: 16 bytes");
        return;
    }
    if (!peer.is_local && !h->has_tokens) {
        refuse(h, to, WEIR__REFUSAL__WHY__AWAY, "the database cannot be reached");
        return;
    }
    if (!peer.is_local && !token_holds(token)) {
        log_warn("join_refused", "pipe=%u consequence=\"not connected\"", peer.pipe);
        refuse(h, to, WEIR__REFUSAL__WHY__FORBIDDEN, "the token is unknown, revoked or expired");
        return;
    }
    for (unsigned i = h->n_sessions; i-- > 0;) /* a connection has one */
        if (h->sessions[i]->pipe == peer.pipe && h->sessions[i]->is_connected)
            session_drop(h, i, WEIR__REFUSAL__WHY__EXPIRED, "another session began");
    s = make_room(h, now_ns) ? calloc(1, sizeof *s) : NULL;
    if (!s || getrandom(s->id, sizeof s->id, 0) != sizeof s->id) {
        free(s);
        refuse(h, to, WEIR__REFUSAL__WHY__AWAY, "too many data planes");
        return;
    }
    memcpy(s->pod, m->pod.data, POD);
    copy_text(s->host, sizeof s->host, m->host);
    copy_text(s->version, sizeof s->version, m->version);
    if (!peer.is_local)
        copy_text(s->token, sizeof s->token, token->id);
    s->config_matches =
        str_eq(h->o.config_hash, (struct str){(char *)m->config_hash.data, m->config_hash.len});
    s->pipe = peer.pipe;
    s->is_connected = true;
    s->seen_ns = now_ns;
    s->is_late = true;
    s->late_n = h->feed.n;
    h->sessions[h->n_sessions++] = s;
    log_info("node_joined", "host=\"%s\" version=\"%s\" token=%s nodes=%u", s->host, s->version,
             s->token[0] ? s->token : "-", h->n_sessions);
    welcome(h, to, s, MIN(m->protocol, h->o.protocol));
}

/* ---- ChangesSince ---- */

static void put_piece(void *ctx, struct str piece)
{
    wire_put(ctx, piece);
}

/* Nothing new: the same revision, no entity. */
static void heartbeat(struct hub *h, void *to, struct revision have)
{
    wire_changes_begin(&h->wire, have, false);
    send_bytes(h, to, wire_changes_end(&h->wire, (struct str){0}));
}

static void page(struct hub *h, void *to, struct revision have, struct feed_place at)
{
    char cursor[CURSOR_MAX];
    struct revision now = {h->feed.epoch, h->feed.n};

    wire_changes_begin(&h->wire, now, false);
    if (feed_page(&h->feed, have.n, &at, ENTITIES_PAGE, put_piece, &h->wire))
        send_bytes(h, to, wire_changes_end(&h->wire, (struct str){0}));
    else if (at.to)
        send_bytes(h, to, wire_changes_end(&h->wire, cursor_of_feed(cursor, at)));
    else
        heartbeat(h, to, have); /* the place is gone: from the beginning */
}

static void ask_job(struct hub *h, void *to, struct session *s, struct hub_job job)
{
    job.to = to;
    memcpy(job.session, s->id, HUB_SESSION);
    if (may_work(s, HUB_PAGE) && h->o.job(h->o.ctx, &job))
        s->n_working[HUB_PAGE]++;
    else
        refuse(h, to, WEIR__REFUSAL__WHY__AWAY, "too many pages are asked for");
}

/* ---- totals ---- */

static int by_spool(const void *a, const void *b)
{
    return memcmp(((const struct hub_spool *)a)->id, ((const struct hub_spool *)b)->id, SPOOL);
}

/* Where the spool stood when the newest totals were read; {0, 0}: nothing of it came yet. */
static struct hub_place place_of(const struct hub *h, const unsigned char spool[SPOOL])
{
    struct hub_spool key;
    const struct hub_spool *at;

    memcpy(key.id, spool, SPOOL);
    at = h->n_spools ? bsearch(&key, h->spools, h->n_spools, sizeof key, by_spool) : NULL;
    return at ? at->place : (struct hub_place){0};
}

/* What it says that it has, and whether what it lacks is still here. */
static bool totals_known(struct hub *h, struct session *s, uint64_t have)
{
    s->is_judged = h->totals.epoch != 0;
    if (!s->is_judged || (s->was_told && have == s->totals))
        return true;
    s->totals_at = (struct feed_place){0};
    s->was_told = false;
    s->claimed = have;
    if (!have) /* it took everything just now */
        s->totals = h->totals.base;
    else
        s->totals = have - MIN(have, (uint64_t)TOTALS_MARGIN_US);
    return s->totals >= h->totals.base;
}

/* Never any that are older than what another control plane told. */
static bool has_totals(const struct hub *h, const struct session *s)
{
    return s->wants_totals && s->is_judged && h->totals.n > MAX(s->totals, s->claimed);
}

/* A page of them. */
static void totals_page(struct hub *h, void *to, struct session *s)
{
    struct hub_place place = place_of(h, s->spool);

    wire_changes_begin(&h->wire, s->have, false);
    bool is_last =
        feed_page(&h->totals, s->totals, &s->totals_at, ENTITIES_PAGE, put_piece, &h->wire);
    if (is_last)
        s->totals = h->totals.n;
    else if (!s->totals_at.to) /* gone meanwhile: it begins with everything */
        s->totals = 1;
    wire_changes_totals(&h->wire, s->totals, is_last ? &place : NULL);
    s->was_told = is_last || s->totals_at.to;
    send_bytes(h, to, wire_changes_end(&h->wire, (struct str){0}));
}

static void unpark(struct hub *h, struct session *s)
{
    void *to = s->parked;

    s->parked = NULL;
    if (feed_has(&h->feed, s->have.epoch, s->have.n) && s->have.n < h->feed.n)
        page(h, to, s->have, (struct feed_place){0});
    else if (has_totals(h, s))
        totals_page(h, to, s);
    else
        heartbeat(h, to, s->have);
}

/* Was it acknowledged, that is new. */
static void acknowledge(struct hub *h, struct session *s, struct revision have)
{
    s->have = have;
    if (have.epoch != h->feed.epoch)
        return;
    if (s->is_late && have.n >= s->late_n)
        s->is_late = false;
    if (h->is_awaited)
        h->o.progress(h->o.ctx);
}

static void on_changes(struct hub *h, void *to, struct session *s, const Weir__ChangesSince *m,
                       uint64_t now_ns)
{
    struct revision now = {h->feed.epoch, h->feed.n}, have = {0};
    struct cursor c;

    if (m->have)
        have = (struct revision){m->have->epoch, m->have->n};
    if (s->parked)
        unpark(h, s); /* whoever asks twice gets two answers */
    if (!now.epoch) {
        refuse(h, to, WEIR__REFUSAL__WHY__AWAY, "the database cannot be reached");
        return;
    }
    acknowledge(h, s, have);
    s->wants_totals = m->spool.len == SPOOL;
    if (s->wants_totals) {
        memcpy(s->spool, m->spool.data, SPOOL);
        if (!totals_known(h, s, m->totals))
            have = (struct revision){0}; /* what was spent meanwhile comes with everything */
    }
    switch (cursor_read(&c, (struct str){(char *)m->cursor.data, m->cursor.len})) {
    case CURSOR_BAD:
        refuse(h, to, WEIR__REFUSAL__WHY__MALFORMED, "cursor");
        return;
    case CURSOR_FEED:
        if (feed_has(&h->feed, have.epoch, have.n))
            page(h, to, have, c.feed);
        else
            heartbeat(h, to, have); /* from the beginning */
        return;
    case CURSOR_FULL:
        if (c.revision.epoch == now.epoch)
            ask_job(h, to, s, (struct hub_job){.revision = c.revision, .place = c.place});
        else
            heartbeat(h, to, have);
        return;
    case CURSOR_NONE:
        break;
    }
    bool is_ahead = have.epoch == now.epoch && have.n > now.n;
    if (is_ahead)
        h->o.ahead(h->o.ctx, have);
    if (is_ahead || (have.epoch == now.epoch && have.n == now.n)) {
        s->parked = to;
        s->parked_until_ns = now_ns + clock_ms(HUB_HEARTBEAT_MS);
        if (!m->wait || has_totals(h, s))
            unpark(h, s);
    } else if (feed_has(&h->feed, have.epoch, have.n)) {
        page(h, to, have, (struct feed_place){0});
    } else {
        ask_job(
            h, to, s,
            (struct hub_job){.is_delta = have.epoch == now.epoch, .have = have, .revision = now});
    }
}

static void on_status(struct hub *h, void *to, struct session *s, const Weir__Status *m)
{
    Weir__StatusTaken taken;
    Weir__Reply r;

    weir__status_taken__init(&taken);
    weir__reply__init(&r);
    s->workers = m->workers;
    s->requests = m->requests;
    s->in_flight = m->in_flight;
    s->spool_bytes = m->spool_bytes;
    s->resident_bytes = m->resident_bytes;
    s->entities = m->entities;
    s->unshipped_bytes = m->unshipped_bytes;
    s->unshipped_ms = m->unshipped_ms;
    s->spool_is_full = m->spool_full;
    s->is_draining = m->draining;
    copy_text(s->error, sizeof s->error, m->error);
    r.is_case = WEIR__REPLY__IS_STATUS_TAKEN;
    r.status_taken = &taken;
    send_bytes(h, to, wire_reply(&h->wire, &r));
}

/* ---- UsageBatch, Transcripts ---- */

static bool is_delivery(const Weir__Request *r)
{
    return r->is_case == WEIR__REQUEST__IS_USAGE || r->is_case == WEIR__REQUEST__IS_USAGE_BATCHES ||
           r->is_case == WEIR__REQUEST__IS_TRANSCRIPTS;
}

/* True: the request is taken. */
static bool hand_on(struct hub *h, void *to, struct session *s, Weir__Request *take_r)
{
    struct hub_delivery d = {.to = to, .request = take_r};
    bool is_usage = take_r->is_case != WEIR__REQUEST__IS_TRANSCRIPTS;
    enum hub_work work = is_usage ? HUB_USAGE : HUB_TRANSCRIPTS;

    memcpy(d.session, s->id, HUB_SESSION);
    if (may_work(s, work) && (is_usage ? h->o.usage : h->o.transcripts)(h->o.ctx, &d)) {
        s->n_working[work]++;
        return true;
    }
    refuse(h, to, WEIR__REFUSAL__WHY__AWAY, "too much of it waits");
    return false;
}

/* ---- requests ---- */

/* True: the request is taken. */
static bool dispatch(struct hub *h, void *to, struct hub_peer peer, Weir__Request *r,
                     uint64_t now_ns)
{
    struct session *s = NULL;

    if (r->is_case == WEIR__REQUEST__IS_HELLO) {
        on_hello(h, to, peer, r->hello, now_ns);
        return false;
    }
    if (r->session.len == HUB_SESSION)
        s = session_find(h, r->session.data);
    if (!s) {
        refuse(h, to, WEIR__REFUSAL__WHY__EXPIRED, "no such session");
        return false;
    }
    if (peer.is_local != !s->token[0]) { /* a session does not change its way */
        refuse(h, to, WEIR__REFUSAL__WHY__EXPIRED, "no such session here");
        return false;
    }
    s->seen_ns = now_ns;
    s->pipe = peer.pipe;
    s->is_connected = true;
    if (is_delivery(r))
        return hand_on(h, to, s, r);
    if (r->is_case == WEIR__REQUEST__IS_CHANGES)
        on_changes(h, to, s, r->changes, now_ns);
    else if (r->is_case == WEIR__REQUEST__IS_STATUS)
        on_status(h, to, s, r->status);
    else
        refuse(h, to, WEIR__REFUSAL__WHY__UNKNOWN_REQUEST, "unknown request");
    return false;
}

/* Only deliveries may be large. */
static Weir__Request *request_read(struct str bytes)
{
    Weir__Request *r = bytes.n && bytes.n <= USAGE_REQUEST_MAX
                           ? weir__request__unpack(NULL, bytes.n, (const uint8_t *)bytes.p)
                           : NULL;

    if (r && bytes.n > REQUEST_MAX && !is_delivery(r)) {
        weir__request__free_unpacked(r, NULL);
        r = NULL;
    }
    return r;
}

void hub_request(struct hub *h, void *take_to, struct hub_peer peer, struct str bytes,
                 uint64_t now_ns)
{
    Weir__Request *r = request_read(bytes);
    bool is_taken = false;

    (void)pthread_mutex_lock(&h->lock);
    if (r)
        is_taken = dispatch(h, take_to, peer, r, now_ns);
    else
        refuse(h, take_to, WEIR__REFUSAL__WHY__MALFORMED, "not a request");
    (void)pthread_mutex_unlock(&h->lock);
    if (r && !is_taken)
        weir__request__free_unpacked(r, NULL);
}

void hub_pipe_gone(struct hub *h, uint32_t pipe)
{
    (void)pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->n_sessions; i++) {
        struct session *s = h->sessions[i];
        if (s->pipe != pipe || !s->is_connected)
            continue;
        s->is_connected = false;
        if (s->parked)
            send_bytes(h, TAKE(s->parked), (struct str){0});
        if (h->is_awaited)
            h->o.progress(h->o.ctx);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

/* Whoever joined with a token that does not hold any more is cut. */
static void cut(struct hub *h)
{
    for (unsigned i = h->n_sessions; i-- > 0;) {
        struct session *s = h->sessions[i];
        const struct hub_token *t = NULL;
        for (size_t k = 0; s->token[0] && k < h->n_tokens; k++)
            if (strcmp(h->tokens[k].id, s->token) == 0)
                t = &h->tokens[k];
        if (!s->token[0] || token_holds(t))
            continue;
        log_warn("node_cut", "host=\"%s\" token=%s why=\"revoked or expired\"", s->host, s->token);
        session_drop(h, i, WEIR__REFUSAL__WHY__FORBIDDEN,
                     "the token is unknown, revoked or expired");
    }
}

void hub_tick(struct hub *h, uint64_t now_ns)
{
    (void)pthread_mutex_lock(&h->lock);
    cut(h);
    for (unsigned i = h->n_sessions; i-- > 0;) {
        struct session *s = h->sessions[i];
        if (s->parked && now_ns >= s->parked_until_ns)
            unpark(h, s);
        if (!session_is_live(s, now_ns) && now_ns >= s->seen_ns + clock_ms(HUB_FORGET_MS))
            session_drop(h, i, -1, "");
    }
    (void)pthread_mutex_unlock(&h->lock);
}

void hub_done(struct hub *h, enum hub_work work, void *take_to,
              const unsigned char session[HUB_SESSION], struct str bytes)
{
    (void)pthread_mutex_lock(&h->lock);
    struct session *s = session_find(h, session);
    if (s) {
        s->n_working[work] -= s->n_working[work] > 0;
        s->seen_ns = clock_mono_ns();
    }
    send_bytes(h, take_to, s ? bytes : (struct str){0});
    (void)pthread_mutex_unlock(&h->lock);
}

bool hub_has_session(struct hub *h, uint32_t pipe)
{
    bool has = false;

    (void)pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->n_sessions && !has; i++)
        has = h->sessions[i]->pipe == pipe && h->sessions[i]->is_connected;
    (void)pthread_mutex_unlock(&h->lock);
    return has;
}

/* ---- what the reader found ---- */

void hub_published(struct hub *h, struct revision r, struct packed *take_entities)
{
    (void)pthread_mutex_lock(&h->lock);
    if (r.epoch != h->feed.epoch || !take_entities)
        feed_reset(&h->feed, r.epoch, r.n);
    else
        feed_push(&h->feed, r.n, take_entities);
    if (take_entities)
        packed_deinit(take_entities);
    for (unsigned i = 0; i < h->n_sessions; i++) {
        struct session *s = h->sessions[i];
        bool is_up_to_date = s->have.epoch == r.epoch && s->have.n >= r.n;
        if (s->parked && !is_up_to_date)
            unpark(h, s);
    }
    if (h->is_awaited)
        h->o.progress(h->o.ctx);
    (void)pthread_mutex_unlock(&h->lock);
}

void hub_totals(struct hub *h, uint64_t n, struct packed *take_totals,
                struct hub_spool *take_spools, size_t n_spools)
{
    if (n_spools)
        qsort(take_spools, n_spools, sizeof *take_spools, by_spool);
    (void)pthread_mutex_lock(&h->lock);
    free(h->spools);
    h->spools = take_spools;
    h->n_spools = n_spools;
    if (!take_totals)
        feed_reset(&h->totals, n != 0, n);
    else if (take_totals->n)
        feed_push(&h->totals, n, take_totals);
    for (unsigned i = 0; i < h->n_sessions; i++) {
        struct session *s = h->sessions[i];
        bool asks_again = !take_totals && s->wants_totals;
        s->is_judged &= !asks_again;
        if (s->parked && (asks_again || has_totals(h, s)))
            unpark(h, s);
    }
    (void)pthread_mutex_unlock(&h->lock);
}

bool hub_wants_totals(struct hub *h)
{
    bool any = false;

    (void)pthread_mutex_lock(&h->lock);
    for (unsigned i = 0; i < h->n_sessions && !any; i++)
        any = h->sessions[i]->is_connected && h->sessions[i]->wants_totals;
    (void)pthread_mutex_unlock(&h->lock);
    return any;
}

struct revision hub_revision(struct hub *h)
{
    (void)pthread_mutex_lock(&h->lock);
    struct revision r = {h->feed.epoch, h->feed.n};
    (void)pthread_mutex_unlock(&h->lock);
    return r;
}

void hub_tokens(struct hub *h, struct hub_token *take_tokens, size_t n)
{
    (void)pthread_mutex_lock(&h->lock);
    free(h->tokens);
    h->tokens = take_tokens;
    h->n_tokens = n;
    h->has_tokens = true;
    cut(h);
    (void)pthread_mutex_unlock(&h->lock);
}

enum errc hub_new(struct hub **ret_h, const struct hub_options *o, struct err *e)
{
    struct hub *h = calloc(1, sizeof *h);

    if (!h || !feed_init(&h->feed) || !feed_init(&h->totals)) {
        if (h)
            feed_deinit(&h->feed);
        free(h);
        return err_set(e, ERRC_NOMEM, 0, "data planes");
    }
    h->o = *o;
    if (!h->o.protocol) {
        h->o.protocol = HUB_PROTOCOL;
        h->o.oldest = HUB_PROTOCOL_OLDEST;
    }
    (void)pthread_mutex_init(&h->lock, NULL); /* of default attributes: cannot fail on Linux */
    *ret_h = h;
    return ERRC_OK;
}

struct hub *hub_free(struct hub *h)
{
    if (!h)
        return NULL;
    while (h->n_sessions)
        session_drop(h, h->n_sessions - 1, -1, "");
    free(h->tokens);
    free(h->spools);
    feed_deinit(&h->totals);
    feed_deinit(&h->feed);
    wire_deinit(&h->wire);
    (void)pthread_mutex_destroy(&h->lock);
    free(h);
    return NULL;
}
