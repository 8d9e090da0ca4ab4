#include "api/members.h"

#include "api/settings.h"
#include "api/users_priv.h"
#include "api/validate.h"
#include "audit/audit.h"
#include "store/team.h"

bool members_read(struct call *c, yyjson_mut_val *value, enum field_list l, struct member **ret,
                  size_t *ret_n)
{
    struct store *s = &c->store;
    bool is_list = yyjson_mut_is_arr(value);
    struct field f = {.name = STR("member"), .type = is_list ? FIELD_LIST : FIELD_OBJECT, .sub = l};
    yyjson_mut_val *errors = row_list(s), *loc = row_list(s), *checked, *one;
    size_t i, n;

    row_append_text(s, loc, STR("body"));
    row_append_text(s, loc, f.name);
    checked = validate_value(s, &f, row_copy(s, value), loc, errors);
    if (yyjson_mut_arr_size(errors)) {
        refuse_invalid(c, errors);
        return false;
    }
    if (!is_list) {
        yyjson_mut_val *list = row_list(s);
        row_append(s, list, checked);
        checked = list;
    }
    n = yyjson_mut_arr_size(checked);
    if (n > MEMBERS_MAX) {
        refuse(c, 400, "Maximum %d members can be added at once", MEMBERS_MAX);
        return false;
    }
    struct member *members = arena_alloc(&c->arena, (n + 1) * sizeof *members);
    if (!members)
        return false; /* the arena's fault is the answer */
    yyjson_mut_arr_foreach(checked, i, n, one)
    {
        members[i] = (struct member){row_text(one, "user_id"), row_text(one, "user_email"),
                                     row_text(one, "role"), NULL};
    }
    *ret = members;
    *ret_n = n;
    return true;
}

static bool is_ambiguous(struct call *c, const yyjson_mut_val *found, struct str email)
{
    if (yyjson_mut_arr_size((yyjson_mut_val *)(uintptr_t)found) < 2)
        return false;
    refuse(c, 400, "Multiple users found with email '" STR_FMT "'. Please use 'user_id' instead.",
           STR_ARG(email));
    return true;
}

bool member_resolve(struct call *c, struct member *m)
{
    struct store *s = &c->store;
    yyjson_mut_val *found = NULL, *first;

    if (!m->user_id.n && !m->user_email.n) {
        refuse(c, 400, "Either user_id or user_email must be provided");
        return false;
    }
    if (m->user_email.n) {
        user_hold_email(s, m->user_email);
        found = users_with_email(s, m->user_email);
    }
    if (is_ambiguous(c, found, m->user_email))
        return false;
    first = yyjson_mut_arr_get_first(found);
    if (!m->user_id.n) {
        m->user = first;
        m->user_id = row_text(first, "user_id");
        return true;
    }
    if (first && !str_eq(row_text(first, "user_id"), m->user_id)) {
        refuse(c, 400,
               "user_email '" STR_FMT "' and user_id '" STR_FMT "' do not belong to the same user.",
               STR_ARG(m->user_email), STR_ARG(m->user_id));
        return false;
    }
    m->user = first ? first : store_get(s, TABLE_USER, m->user_id);
    if (!m->user_email.n)
        m->user_email = row_text(m->user, "user_email");
    return true;
}

void member_make_user(struct call *c, struct member *m)
{
    static const char *const names[] = {"models", "max_budget", "budget_duration"};
    struct store *s = &c->store;
    yyjson_mut_val *row, *dflt;

    if (m->user) {
        m->user = store_hold(s, TABLE_USER, m->user_id);
        if (!m->user && tx_ok(&s->tx))
            s->tx.fault = DB_RETRY; /* deleted since it was looked up */
        return;
    }
    dflt = setting_get(c, SETTING_LITELLM_default_internal_user_params);
    if (!m->user_id.n)
        m->user_id = store_uuid(s);
    row = row_new(s);
    row_put_text(s, row, "user_id", m->user_id);
    row_put_text(s, row, "user_email",
                 m->user_email.n ? m->user_email : row_text(dflt, "user_email"));
    row_put_text(s, row, "user_role", STR("internal_user"));
    row_take(s, row, dflt, names, ARRAY_LEN(names));
    user_fill_limits(c, row);
    if (!row_val(row, "models"))
        row_put(s, row, "models", row_list(s));
    limit_put_period(c, row, row);
    m->user = store_insert(s, TABLE_USER, row);
    if (m->user)
        audit_created(c, TABLE_USER, m->user_id, m->user);
    else
        m->user = store_get(s, TABLE_USER, m->user_id); /* made meanwhile */
}

bool member_check_named(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *errors = row_list(s), *one = row_new(s), *loc = row_list(s), *ctx = row_new(s);

    if (in_set(c, "user_id") || in_set(c, "user_email"))
        return true;
    row_append_text(s, loc, STR("body"));
    row_put_text(s, one, "type", STR("value_error"));
    row_put(s, one, "loc", loc);
    row_put_text(s, one, "msg", STR("Value error, Either user id or user email must be provided"));
    row_put(s, one, "input", c->in);
    row_put(s, ctx, "error", row_new(s));
    row_put(s, one, "ctx", ctx);
    row_append(s, errors, one);
    refuse_invalid(c, errors);
    return false;
}

yyjson_mut_val *member_shown(struct call *c, const yyjson_mut_val *user)
{
    static const char *const names[] = {"user_id", "user_email", "user_alias", "user_role"};
    struct store *s = &c->store;
    yyjson_mut_val *out;

    if (rbac_sees_all(&c->caller)) {
        out = row_copy(s, user);
        (void)yyjson_mut_obj_remove_key(out, "password");
        return out;
    }
    out = row_new(s);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        row_put(s, out, names[i], row_val(user, names[i]));
    return out;
}
