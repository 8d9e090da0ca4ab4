/* /credentials: named sets of values for providers. Texts of them are sealed in the database. */

#include "api/models_priv.h"
#include "api/sealed.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"
#include "store/credential.h"

enum { DISPLAY_NAME_MAX = 255 };

static void done(struct call *c, const char *message)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s);

    row_put_bool(s, out, "success", true);
    row_put_text(s, out, "message", str_of(message));
    reply(c, out);
}

/* ---- those of config.yaml ---- */

static yyjson_mut_val *configured(struct call *c)
{
    yyjson_mut_val *list = store_json(&c->store, c->d->config->credentials);

    return list ? list : row_list(&c->store);
}

static yyjson_mut_val *configured_by_name(struct call *c, struct str name)
{
    yyjson_mut_val *v;
    size_t i, n;

    yyjson_mut_arr_foreach(configured(c), i, n, v)
    {
        if (str_eq(row_text(v, "credential_name"), name))
            return v;
    }
    return NULL;
}

bool credential_is_configured(struct call *c, struct str name)
{
    return configured_by_name(c, name);
}

/* ---- shown ---- */

static yyjson_mut_val *view(struct call *c, const yyjson_mut_val *row, const char *source)
{
    struct store *s = &c->store;
    bool is_sealed = str_eq(str_of(source), STR("db"));
    yyjson_mut_val *values = row_val(row, "credential_values");
    yyjson_mut_val *info = row_val(row, "credential_info"), *out = row_new(s);

    row_put_text(s, out, "credential_name", row_text(row, "credential_name"));
    row_put_text(s, out, "display_name", row_text(row, "display_name"));
    row_put(s, out, "credential_info", info ? info : row_new(s));
    row_put(s, out, "credential_values",
            values_mask(c, is_sealed ? values_open(c, values) : values));
    row_put_text(s, out, "source", str_of(source));
    return out;
}

void api_credential_list(struct call *c)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *list = row_list(s), *v;
    size_t i, n;

    yyjson_mut_arr_foreach(configured(c), i, n, v)
    {
        row_append(s, list, view(c, v, "config"));
    }
    yyjson_mut_arr_foreach(credential_all(s), i, n, v)
    {
        row_append(s, list, view(c, v, "db"));
    }
    row_put_bool(s, out, "success", true);
    row_put(s, out, "credentials", list);
    reply(c, out);
}

void api_credential_by_name(struct call *c)
{
    struct str name = in_param(c, 0);
    yyjson_mut_val *row = configured_by_name(c, name);
    const char *source = "config";

    if (!row) {
        row = credential_find(&c->store, name, false);
        source = "db";
    }
    if (!row) {
        refuse_text(c, 404, "Credential not found. Got credential name: " STR_FMT, STR_ARG(name));
        return;
    }
    reply(c, view(c, row, source));
}

/* What of a deployment's parameters makes it a credential; NULL with 404. */
static yyjson_mut_val *values_of_model(struct call *c, struct str model_id,
                                       yyjson_mut_val **ret_model)
{
    static const char *const names[] = {"api_key",
                                        "api_base",
                                        "api_version",
                                        "vertex_project",
                                        "vertex_location",
                                        "vertex_credentials",
                                        "region_name",
                                        "aws_access_key_id",
                                        "aws_region_name",
                                        "aws_secret_access_key",
                                        "watsonx_region_name"};
    yyjson_mut_val *model = model_find(c, model_id), *out, *params;

    if (!model) {
        refuse_text(c, 404, "Model not found");
        return NULL;
    }
    params = row_val(model, "litellm_params");
    out = row_new(&c->store);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (row_val(params, names[i]))
            row_put(&c->store, out, names[i], row_val(params, names[i]));
    *ret_model = model;
    return out;
}

void api_credential_by_model(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_param(c, 0);
    yyjson_mut_val *out = row_new(s), *model, *values = values_of_model(c, id, &model);

    if (!values)
        return;
    row_put_text(s, out, "credential_name",
                 arena_printf(&c->arena, STR_FMT "-credential-" STR_FMT,
                              STR_ARG(row_text(model, "model_name")), STR_ARG(id)));
    row_put_null(s, out, "display_name");
    row_put(s, out, "credential_info", row_new(s));
    row_put(s, out, "credential_values", values_mask(c, values));
    reply(c, out);
}

/* ---- written ---- */

/* Blanks around it taken off; false with an answer. */
static bool check_display_name(struct call *c, struct str *name)
{
    const char *what = NULL;

    if (!name->p)
        return true;
    *name = str_trim(*name);
    if (!name->n)
        what = "display_name cannot be blank. Send null to clear it or omit the field to leave it "
               "unchanged.";
    else if (name->n > DISPLAY_NAME_MAX)
        what = "display_name cannot be longer than 255 characters.";
    for (size_t i = 0; !what && i < name->n; i++)
        if ((unsigned char)name->p[i] < 0x20 || name->p[i] == 0x7f)
            what = "display_name cannot contain control, formatting, or line separator characters.";
    if (what)
        refuse_as(c, 400, "validation_error", "display_name", "%s", what);
    return !what;
}

/* The values sent, or those of the deployment that is named. NULL: none, or with an answer. */
static yyjson_mut_val *values_sent(struct call *c)
{
    struct str model_id = in_text(c, "model_id");
    yyjson_mut_val *model;

    return model_id.n ? values_of_model(c, model_id, &model) : in_val(c, "credential_values");
}

void api_credential_new(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_text(c, "credential_name"), shown = in_text(c, "display_name");
    yyjson_mut_val *values = values_sent(c), *row = row_new(s), *made;

    if (c->status)
        return;
    if (!yyjson_mut_obj_size(values)) {
        refuse_text(c, 400,
                    "Credential values are required. Unable to infer credential values from model "
                    "ID.");
        return;
    }
    if (configured_by_name(c, name)) {
        refuse_as(c, 409, "validation_error", "credential_name",
                  "Credential '" STR_FMT "' is defined in config. Edit config.yaml to change it.",
                  STR_ARG(name));
        return;
    }
    if (!check_display_name(c, &shown))
        return;
    values = values_seal(c, values);
    if (!values)
        return;
    if (credential_find(s, name, false)) {
        refuse_text(c, 409,
                    "Credential '" STR_FMT "' already exists. Update it with PATCH "
                    "/credentials/" STR_FMT ", or delete it first.",
                    STR_ARG(name), STR_ARG(name));
        return;
    }
    row_put_text(s, row, "credential_id", store_uuid(s));
    row_put_text(s, row, "credential_name", name);
    row_put_text(s, row, "display_name", shown);
    row_put(s, row, "credential_info", in_val(c, "credential_info"));
    row_put(s, row, "credential_values", values);
    row_put_text(s, row, "created_by", c->caller.user_id);
    row_put_text(s, row, "updated_by", c->caller.user_id);
    made = store_insert(s, TABLE_CREDENTIAL, row);
    audit_created(c, TABLE_CREDENTIAL, row_text(row, "credential_id"), made);
    done(c, "Credential created successfully");
}

/* The row of the name in the path, locked; NULL with an answer. */
static yyjson_mut_val *lock_named(struct call *c, struct str name, const char *missing)
{
    yyjson_mut_val *row = credential_find(&c->store, name, true);

    if (row)
        return row;
    if (configured_by_name(c, name)) {
        refuse_as(c, 405, "validation_error", "credential_name",
                  "Credential '" STR_FMT
                  "' is defined in config and cannot be edited from the API or UI.",
                  STR_ARG(name));
        c->headers = STR("Allow: GET\r\n");
        return NULL;
    }
    refuse_text(c, 404, "%s", missing);
    return NULL;
}

/* Members of `from` over those of `to`. A secret sent back masked stays what it was. */
static void merge(struct call *c, yyjson_mut_val *to, const yyjson_mut_val *from)
{
    struct store *s = &c->store;
    yyjson_mut_val *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)from, i, n, k, v)
    {
        struct str name = {yyjson_mut_get_str(k), yyjson_mut_get_len(k)};
        struct str text = {yyjson_mut_get_str(v), yyjson_mut_get_len(v)};
        if (value_is_secret(name) && text.p && value_is_masked(text))
            continue;
        if (!yyjson_mut_is_null(v))
            (void)yyjson_mut_obj_put(to, row_copy(s, k), row_copy(s, v));
    }
}

/* False with an answer: one name is to be set and dropped. */
static bool drop_values(struct call *c, yyjson_mut_val *values, const yyjson_mut_val *sent)
{
    yyjson_mut_val *list = in_val(c, "credential_values_to_delete"), *v;
    size_t i, n;

    yyjson_mut_arr_foreach(list, i, n, v)
    {
        if (yyjson_mut_obj_getn((yyjson_mut_val *)(uintptr_t)sent, yyjson_mut_get_str(v),
                                yyjson_mut_get_len(v))) {
            refuse_text(c, 400,
                        "credential_values_to_delete overlaps credential_values for key(s): ['%s']",
                        yyjson_mut_get_str(v));
            return false;
        }
        (void)yyjson_mut_obj_remove_keyn(values, yyjson_mut_get_str(v), yyjson_mut_get_len(v));
    }
    return true;
}

void api_credential_update(struct call *c)
{
    struct store *s = &c->store;
    struct str name = in_param(c, 0), renamed = in_text(c, "credential_name");
    struct str shown = in_text(c, "display_name");
    yyjson_mut_val *changes = row_new(s), *row, *sent, *values, *info;

    if (renamed.n && !str_eq(renamed, name)) {
        refuse_as(c, 400, "validation_error", "credential_name",
                  "credential_name is immutable. Set display_name to change how the credential is "
                  "labeled.");
        return;
    }
    if (!check_display_name(c, &shown))
        return;
    sent = values_sent(c);
    if (c->status)
        return;
    row = lock_named(c, name, "Credential not found in DB.");
    if (!row)
        return;
    /* what does not open with this key is kept as it is, not sealed again */
    values = row_new(s);
    merge(c, values, sent);
    sent = values;
    values = row_val(row, "credential_values") ? row_copy(s, row_val(row, "credential_values"))
                                               : row_new(s);
    yyjson_mut_val *sealed = values_seal(c, sent);
    if (!sealed || !drop_values(c, values, sent))
        return;
    merge(c, values, sealed);
    info =
        row_val(row, "credential_info") ? row_copy(s, row_val(row, "credential_info")) : row_new(s);
    merge(c, info, in_val(c, "credential_info"));
    row_put(s, changes, "credential_values", values);
    row_put(s, changes, "credential_info", info);
    if (in_sent(c, "display_name"))
        row_put_text(s, changes, "display_name", shown);
    row_put_text(s, changes, "updated_by", c->caller.user_id);
    (void)store_update(s, TABLE_CREDENTIAL, row_text(row, "credential_id"), changes);
    audit_updated(c, TABLE_CREDENTIAL, row_text(row, "credential_id"), row, changes);
    done(c, "Credential updated successfully");
}

void api_credential_delete(struct call *c)
{
    struct str name = in_param(c, 0);
    struct str missing = arena_printf(
        &c->arena, "Credential not found. Got credential name: " STR_FMT, STR_ARG(name));
    yyjson_mut_val *row = lock_named(c, name, missing.p ? missing.p : "");

    if (!row)
        return;
    (void)store_delete(&c->store, TABLE_CREDENTIAL, row_text(row, "credential_id"));
    audit_deleted(c, TABLE_CREDENTIAL, row_text(row, "credential_id"), row);
    done(c, "Credential deleted successfully");
}
