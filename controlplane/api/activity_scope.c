/* Who sees whose activity (litellm-controlplane.md 2.2 to 2.7): admins all, users themselves,
 * members their teams, org_admins their organizations. */

#include "common/clock.h"

#include "api/activity_priv.h"
#include "api/parts.h"
#include "store/key.h"

enum { IDS_MAX = 1000 };

/* Members of a request by kind; NULL: there is none. */
static const struct {
    struct str prefix; /* of the route */
    enum daily_kind kind;
    const char *ids, *excluded;
} kinds[] = {
    {STR_INIT("user"), DAILY_USER, "user_id", NULL},
    {STR_INIT("team"), DAILY_TEAM, "team_ids", "exclude_team_ids"},
    {STR_INIT("organization"), DAILY_ORGANIZATION, "organization_ids", "exclude_organization_ids"},
    {STR_INIT("customer"), DAILY_CUSTOMER, "end_user_ids", "exclude_end_user_ids"},
    {STR_INIT("end_user"), DAILY_CUSTOMER, "end_user_ids", "exclude_end_user_ids"},
    {STR_INIT("tag"), DAILY_TAG, "tags", NULL},
    {STR_INIT("agent"), DAILY_AGENT, "agent_ids", "exclude_agent_ids"},
};

static size_t kind_of(const struct call *c)
{
    struct str first, rest;
    size_t i = 0;

    (void)str_cut(str_from(c->route->path, 1), '/', &first, &rest);
    while (!str_eq(kinds[i].prefix, first))
        i++; /* every route of these handlers has a row */
    return i;
}

struct str activity_kind_name(const struct call *c)
{
    struct str name = kinds[kind_of(c)].prefix;

    return str_eq(name, STR("end_user")) ? STR("customer") : name;
}

/* ---- lists ---- */

/* "a,b,c"; false with an answer when it is too long. */
static bool read_ids(struct call *c, const char *name, struct daily_list *ret)
{
    struct str rest = name ? in_text(c, name) : (struct str){0}, one;
    size_t n = 1;

    *ret = (struct daily_list){0};
    if (!rest.n)
        return true;
    for (size_t i = 0; i < rest.n; i++)
        n += rest.p[i] == ',';
    if (n > IDS_MAX) {
        refuse(c, 400, "%s: more than %d", name, IDS_MAX);
        return false;
    }
    struct str *ids = arena_alloc(&c->arena, n * sizeof *ids);
    if (!ids)
        return false;
    for (size_t i = 0; i < n; i++) {
        (void)str_cut(rest, ',', &one, &rest);
        ids[i] = one;
    }
    *ret = (struct daily_list){true, ids, n};
    return true;
}

static struct daily_list list_of(struct call *c, const yyjson_mut_val *texts)
{
    struct daily_list l = {.is_given = true};

    l.id = row_texts(c, texts, &l.n);
    return l;
}

static struct daily_list list_of_one(struct call *c, struct str id)
{
    struct str *one = arena_alloc(&c->arena, sizeof *one);

    if (one)
        *one = id;
    return (struct daily_list){true, one, one ? 1 : 0};
}

static bool list_has(const struct daily_list *l, struct str id)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->id[i], id))
            return true;
    return false;
}

/* The keys of the caller's user; the calling one among them where `with_own`. */
static struct daily_list own_keys(struct call *c, bool with_own)
{
    struct store *s = &c->store;
    yyjson_mut_val *list = row_list(s);

    if (with_own)
        row_append_text(s, list, c->caller.key_hash);
    if (c->caller.user_id.n) {
        struct rows r =
            TX_QUERY(&s->tx, "SELECT token FROM \"LiteLLM_VerificationToken\" WHERE user_id = $1",
                     DB_TEXT(c->caller.user_id));
        for (int i = 0; i < r.n; i++)
            row_append_text(s, list, arena_str(&c->arena, rows_text(r, i, 0)));
    }
    return list_of(c, list);
}

/* The key asked for, within `held` where that is given. */
static struct daily_list keys_within(struct call *c, struct daily_list held)
{
    struct str asked = in_text(c, "api_key");

    if (!asked.n)
        return held;
    struct str key = key_of_bucket(asked);
    if (held.is_given && !list_has(&held, key))
        return (struct daily_list){.is_given = true};
    return list_of_one(c, key);
}

/* ---- by kind ---- */

static bool scope_user(struct call *c, struct daily_scope *sc)
{
    struct str wanted = in_text(c, "user_id"), own = c->caller.user_id;

    sc->keys = keys_within(c, (struct daily_list){0});
    if (rbac_sees_all(&c->caller)) {
        if (wanted.p)
            sc->entities = list_of_one(c, wanted);
        return true;
    }
    if (!own.n) {
        refuse(c, 403,
               "Service-account keys cannot query user analytics. Use a user-bound key, or call as "
               "a proxy admin.");
        return false;
    }
    if (wanted.p && !str_eq(wanted, own)) {
        refuse(c, 403, "Non-admin users can only view their own spend data.");
        return false;
    }
    sc->entities = list_of_one(c, own);
    return true;
}

/* The caller sees all of each team: as its admin, or because the team lets its members. */
static bool sees_teams(struct call *c, const struct daily_list *teams)
{
    yyjson_mut_val *rows = STORE_LIST(&c->store, TABLE_TEAM, "WHERE t.team_id = ANY ($1::text[])",
                                      DB_TEXTS(teams->id, teams->n)),
                   *team;
    size_t i, n;

    yyjson_mut_arr_foreach(rows, i, n, team)
    {
        struct str role = team_role_of(team, c->caller.user_id);
        if (!str_eq(role, STR("admin")) &&
            (!role.n || !row_has(team, "team_member_permissions", STR("/team/daily/activity"))))
            return false;
    }
    return true;
}

static bool scope_team(struct call *c, struct daily_scope *sc)
{
    yyjson_mut_val *user = c->caller.user;
    struct daily_list held = {0};

    if (!rbac_sees_all(&c->caller)) {
        if (!user) {
            refuse(c, 404, "User= " STR_FMT " not found",
                   STR_ARG(c->caller.user_id.n ? c->caller.user_id : STR("None")));
            return false;
        }
        for (size_t i = 0; i < sc->entities.n; i++) {
            if (row_has(user, "teams", sc->entities.id[i]))
                continue;
            refuse(c, 404,
                   "User does not belong to Team= " STR_FMT
                   ". Call `/user/info` to see user's teams",
                   STR_ARG(sc->entities.id[i]));
            return false;
        }
        if (!sc->entities.is_given)
            sc->entities = list_of(c, row_val(user, "teams"));
        if (sc->entities.n && !sees_teams(c, &sc->entities))
            held = own_keys(c, false);
    }
    sc->keys = keys_within(c, held);
    return true;
}

static bool scope_organization(struct call *c, struct daily_scope *sc)
{
    yyjson_mut_val *mine = row_list(&c->store), *m;
    size_t i, n;

    sc->keys = keys_within(c, (struct daily_list){0});
    if (rbac_sees_all(&c->caller))
        return true;
    for (i = 0; i < sc->entities.n; i++) {
        if (sc->entities.id[i].n && rbac_is_org_admin(&c->caller, sc->entities.id[i]))
            continue;
        refuse(c, 403, "User is not org_admin for Organization= " STR_FMT ".",
               STR_ARG(sc->entities.id[i]));
        return false;
    }
    if (sc->entities.is_given)
        return true;
    yyjson_mut_arr_foreach(c->caller.orgs, i, n, m)
    {
        if (str_eq(row_text(m, "user_role"), STR("org_admin")))
            row_append_text(&c->store, mine, row_text(m, "organization_id"));
    }
    sc->entities = list_of(c, mine);
    return true;
}

static bool scope_tag(struct call *c, struct daily_scope *sc)
{
    struct daily_list held = {0};

    if (!rbac_sees_all(&c->caller))
        held = own_keys(c, true);
    sc->keys = keys_within(c, held);
    return true;
}

/* Their gate lets nobody in who does not see all. */
static bool scope_all(struct call *c, struct daily_scope *sc)
{
    sc->keys = keys_within(c, (struct daily_list){0});
    return true;
}

bool activity_scope(struct call *c, bool is_bounded, struct daily_scope *ret)
{
    static bool (*const rules[DAILY_KINDS])(struct call *, struct daily_scope *) = {
        [DAILY_USER] = scope_user,
        [DAILY_TEAM] = scope_team,
        [DAILY_ORGANIZATION] = scope_organization,
        [DAILY_CUSTOMER] = scope_all,
        [DAILY_TAG] = scope_tag,
        [DAILY_AGENT] = scope_all,
    };
    size_t k = kind_of(c);
    enum daily_kind kind = kinds[k].kind;
    struct str from = in_text(c, "start_date"), to = in_text(c, "end_date");
    struct day_range range;
    const char *why =
        is_bounded ? range_read_bounded(&range, from, to) : range_read(&range, from, to);

    if (why) {
        refuse(c, 400, "%s", why);
        return false;
    }
    if (kind == DAILY_USER && in_set(c, "timezone") && in_bool(c, "include_current_utc_day"))
        range_widen(&range, &c->arena, in_int(c, "timezone"), clock_wall_us());
    *ret = (struct daily_scope){
        .kind = kind, .from = range.from, .to = range.to, .model = in_text(c, "model")};
    if (kind != DAILY_USER && (!read_ids(c, kinds[k].ids, &ret->entities) ||
                               !read_ids(c, kinds[k].excluded, &ret->excluded)))
        return false;
    return rules[kind](c, ret) && tx_ok(&c->store.tx);
}
