/* Members of organizations added, changed and removed. */

#include "api/organizations_priv.h"
#include "audit/audit.h"
#include "store/team.h"

static yyjson_mut_val *find_org(struct call *c)
{
    struct str id = in_text(c, "organization_id");
    yyjson_mut_val *org = org_find(c, id, true);

    if (!org)
        refuse(c, 404, "Organization not found for organization_id=" STR_FMT, STR_ARG(id));
    return org;
}

/* A budget of the member's own; an empty text without a limit. */
static struct str new_budget(struct call *c)
{
    yyjson_mut_val *most = in_val(c, "max_budget_in_organization"), *budget = row_new(&c->store);

    if (!most)
        return (struct str){0};
    row_put(&c->store, budget, "max_budget", most);
    return budget_create(c, budget);
}

/* ---- add ---- */

static bool join(struct call *c, struct member *m, yyjson_mut_val *users,
                 yyjson_mut_val *memberships)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "organization_id");
    yyjson_mut_val *row;

    member_make_user(c, m);
    row = org_join(s, id, m->user_id, m->role, new_budget(c));
    if (!row) {
        refuse(c, 400, "User already in organization. Member: user_id=" STR_FMT,
               STR_ARG(m->user_id));
        return false;
    }
    audit_created(c, TABLE_ORGANIZATION_MEMBERSHIP, id, row);
    row_append(s, users, member_shown(c, m->user));
    row_append(s, memberships, row);
    return true;
}

void api_organization_member_add(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *users = row_list(s), *memberships = row_list(s), *out = row_new(s);
    struct member *members;
    size_t n;

    if (!members_read(c, in_val(c, "member"), FIELDS_ORG_MEMBER, &members, &n) ||
        !check_not_negative(c, c->in, "max_budget_in_organization") || !find_org(c))
        return;
    for (size_t i = 0; i < n; i++)
        if (!member_resolve(c, &members[i]) || !join(c, &members[i], users, memberships))
            return;
    c->is_unchanged = n == 0;
    row_put_text(s, out, "organization_id", in_text(c, "organization_id"));
    row_put(s, out, "updated_users", users);
    row_put(s, out, "updated_organization_memberships", memberships);
    reply(c, out);
}

/* ---- find one ---- */

/* The membership of whom the request names; NULL with an answer. */
static yyjson_mut_val *find_member(struct call *c)
{
    struct store *s = &c->store;
    struct str user_id = in_text(c, "user_id"), email = in_text(c, "user_email");
    yyjson_mut_val *row, *found;

    if (!member_check_named(c) || !find_org(c))
        return NULL;
    if (!user_id.n) {
        found = users_with_email(s, email);
        if (yyjson_mut_arr_size(found) != 1) {
            refuse(c, 400,
                   "Unique user not found for user_email=" STR_FMT
                   ". Potential duplicate OR non-existent user_email in LiteLLM_UserTable. Use "
                   "'user_id' instead.",
                   STR_ARG(email));
            return NULL;
        }
        user_id = row_text(yyjson_mut_arr_get_first(found), "user_id");
    }
    row = org_membership(s, in_text(c, "organization_id"), user_id);
    if (!row)
        refuse(c, 404, "Member not found in organization for user_id=" STR_FMT, STR_ARG(user_id));
    return row;
}

/* Whoever administers everything is not for admins of one organization to change. */
static bool check_target(struct call *c, const yyjson_mut_val *membership)
{
    yyjson_mut_val *user = store_get(&c->store, TABLE_USER, row_text(membership, "user_id"));
    struct str role = row_text(user, "user_role");

    if (rbac_is_admin(&c->caller) ||
        (!str_eq(role, STR("proxy_admin")) && !str_eq(role, STR("proxy_admin_viewer"))))
        return true;
    refuse(
        c, 403,
        "Only PROXY_ADMIN may modify the organization role of a user who is a global PROXY_ADMIN.");
    return false;
}

/* ---- update, delete ---- */

static struct str set_budget(struct call *c, const yyjson_mut_val *membership)
{
    struct store *s = &c->store;
    struct str id = row_text(membership, "budget_id");
    yyjson_mut_val *was =
        id.n && in_set(c, "max_budget_in_organization") ? store_lock(s, TABLE_BUDGET, id) : NULL;
    yyjson_mut_val *changes = row_new(s);

    if (!was)
        return new_budget(c);
    row_put(s, changes, "max_budget", in_val(c, "max_budget_in_organization"));
    row_put_text(s, changes, "updated_by", audit_actor(c));
    (void)store_update(s, TABLE_BUDGET, id, changes);
    audit_updated(c, TABLE_BUDGET, id, was, changes);
    return id;
}

void api_organization_member_update(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_text(c, "organization_id"), role = in_text(c, "role"), budget;
    yyjson_mut_val *was, *now;

    if (!check_not_negative(c, c->in, "max_budget_in_organization"))
        return;
    was = find_member(c);
    if (!was || !check_target(c, was))
        return;
    budget = set_budget(c, was);
    now = org_change_member(s, id, row_text(was, "user_id"), role,
                            budget.n ? budget : (struct str){0});
    audit_updated(c, TABLE_ORGANIZATION_MEMBERSHIP, id, was, now);
    now = row_copy(s, now);
    budget = row_text(now, "budget_id");
    row_put(s, now, "litellm_budget_table", budget.n ? store_get(s, TABLE_BUDGET, budget) : NULL);
    reply(c, now);
}

void api_organization_member_delete(struct call *c)
{
    struct str id = in_text(c, "organization_id");
    yyjson_mut_val *was = find_member(c);

    if (!was || !check_target(c, was))
        return;
    org_leave(&c->store, id, row_text(was, "user_id"));
    audit_deleted(c, TABLE_ORGANIZATION_MEMBERSHIP, id, was);
    reply(c, was);
}
