"""/key: every route's happy, forbidden, invalid and not-found cases."""

import datetime
import re

import pytest
from support.tenants import sha256


def error(reply):
    return reply.json["error"]


def make(cp, as_=..., **body):
    reply = cp.post("/key/generate", body, key=as_)
    assert reply.status == 200, reply.body
    return reply.json


@pytest.fixture
def key(cp):
    return make(cp)["key"]


# --- generate


def test_key_is_shown_once_and_kept_as_a_hash(cp, tenants, postgres):
    made = make(cp, key_alias="first", models=["m"], metadata={"a": 1})
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{22}", made["key"])
    assert made["token"] == made["token_id"] == sha256(made["key"])
    assert made["key_name"] == "sk-..." + made["key"][-4:]
    assert (made["models"], made["metadata"], made["created_by"]) == (["m"], {"a": 1}, "default_user_id")
    dump = postgres.sql(cp.database, 'SELECT to_jsonb(t)::text FROM "LiteLLM_VerificationToken" t UNION ALL '
                                     'SELECT to_jsonb(t)::text FROM "LiteLLM_AuditLog" t')  # fmt: skip
    assert not any(made["key"] in row for (row,) in dump)
    info = cp.get(f"/key/info?key={made['key']}").json
    assert info["key"] == made["key"] and info["info"]["key_alias"] == "first" and "token" not in info["info"]


@pytest.mark.parametrize(
    ("body", "column", "value"),
    [
        ({"max_budget": 5}, "max_budget", 5),
        ({"max_budget": "2.5"}, "max_budget", 2.5),
        ({"tpm_limit": 7, "rpm_limit": "8"}, "rpm_limit", 8),
        ({"model_rpm_limit": {"m": 1}}, "metadata", {"model_rpm_limit": {"m": 1}}),
        ({"tags": ["t"], "metadata": {"x": 1}}, "metadata", {"x": 1, "tags": ["t"]}),
        ({"key_type": "llm_api"}, "allowed_routes", ["llm_api_routes"]),
        ({"key_type": "read_only"}, "allowed_routes", ["info_routes"]),
        ({"allowed_routes": ["/key/info"]}, "allowed_routes", ["/key/info"]),
        ({"aliases": {"a": "b"}}, "aliases", {"a": "b"}),
        ({"aliases": None}, "aliases", {}),
        ({"blocked": "true"}, "blocked", True),
        ({"permissions": {"p": True}}, "permissions", {"p": True}),
        ({"router_settings": {"num_retries": 3, "unknown": 1}}, "router_settings", {"num_retries": 3}),
        ({"unknown_member": 1}, "spend", 0),
        ({"models": ["ünï"]}, "models", ["ünï"]),
    ],
)
def test_key_has_what_was_asked_for(cp, body, column, value):
    made = make(cp, **body)
    assert made[column] == value
    assert cp.get(f"/key/info?key={made['token']}").json["info"][column] == value


@pytest.mark.parametrize(
    ("duration", "seconds"), [("90s", 90), ("10m", 600), ("24h", 86400), ("24hr", 86400), ("7d", 604800), ("1w", 604800)]
)
def test_duration_ends_a_key(cp, duration, seconds):
    expires = datetime.datetime.fromisoformat(make(cp, duration=duration)["expires"].replace("Z", "+00:00"))
    left = (expires - datetime.datetime.now(datetime.UTC)).total_seconds()
    assert seconds - 60 < left <= seconds


def test_budget_period_begins_anew_at_midnight(cp):
    made = make(cp, budget_duration="1d", budget_limits=[{"budget_duration": "7d", "max_budget": 1}])
    midnight = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
    assert made["budget_reset_at"] == midnight
    (window,) = made["budget_limits"]
    assert window["max_budget"] == 1 and window["reset_at"].endswith("T00:00:00.000Z")


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"max_budget": -1}, 400, "{'error': 'max_budget must be a non-negative finite number. Received: -1.0'}"),
        ({"soft_budget": -0.5}, 400, "{'error': 'soft_budget must be a non-negative finite number. Received: -0.5'}"),
        ({"duration": "soon"}, 400, "{'error': 'Unsupported duration unit, passed duration: soon'}"),
        ({"key": "abc"}, 400, "{'error': \"Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: ****\"}"),
        ({"key": "sk-short"}, 400, "{'error': 'Invalid key format. LiteLLM Virtual Key must be at least 16 characters long.'}"),
        ({"organization_id": "none"}, 400, "Organization not found for organization_id=none"),
    ],
)
def test_values_that_cannot_be(cp, body, status, text):
    reply = cp.post("/key/generate", body)
    assert (reply.status, error(reply)["message"]) == (status, text)
    assert (error(reply)["type"], error(reply)["param"], error(reply)["code"]) == ("internal_server_error", "None", str(status))


@pytest.mark.parametrize(
    ("body", "type_", "loc", "msg"),
    [
        ({"max_budget": "x"}, "float_parsing", ["max_budget"], "Input should be a valid number, unable to parse string as a number"),
        ({"max_budget": []}, "float_type", ["max_budget"], "Input should be a valid number"),
        ({"tpm_limit": 1.5}, "int_from_float", ["tpm_limit"], "Input should be a valid integer, got a number with a fractional part"),
        ({"key_alias": 1}, "string_type", ["key_alias"], "Input should be a valid string"),
        ({"models": "m"}, "list_type", ["models"], "Input should be a valid list"),
        ({"metadata": "m"}, "dict_type", ["metadata"], "Input should be a valid dictionary"),
        ({"blocked": "maybe"}, "bool_parsing", ["blocked"], "Input should be a valid boolean, unable to interpret input"),
        ({"tags": [1]}, "string_type", ["tags", 0], "Input should be a valid string"),
        ({"key_type": "x"}, "literal_error", ["key_type"], "Input should be 'llm_api', 'management', 'read_only' or 'default'"),
        ({"budget_limits": [{"max_budget": 1}]}, "missing", ["budget_limits", 0, "budget_duration"], "Field required"),
    ],
)
def test_types_that_do_not_fit_are_422(cp, body, type_, loc, msg):
    reply = cp.post("/key/generate", body)
    (fault,) = reply.json["detail"]
    assert reply.status == 422
    assert (fault["type"], fault["loc"], fault["msg"]) == (type_, ["body", *loc], msg)


@pytest.mark.parametrize(
    ("body", "type_"),
    [
        (b"{", "json_invalid"), (b"[1]", "model_attributes_type"), (b'{"key_alias": "a\\u0000b"}', "json_invalid"),
        (b'{"models": ' + b"[" * 70 + b"]" * 70 + b"}", "json_invalid"), (b'{"key_alias":"a","key_alias":"b"}', "json_invalid"),
        (b'{"key_alias": "\xff"}', "json_invalid"),
    ],
)  # fmt: skip
def test_bodies_that_are_no_such_json_are_422(cp, body, type_):
    reply = cp.call("POST", "/key/generate", body)
    assert (reply.status, reply.json["detail"][0]["type"]) == (422, type_)


def test_alias_is_unique(cp, key):
    make(cp, key_alias="one of a kind")
    reply = cp.post("/key/generate", {"key_alias": "one of a kind"})
    assert reply.status == 400
    assert error(reply) == {
        "message": "Key with alias 'one of a kind' already exists. Unique key aliases across all keys are required.",
        "type": "bad_request_error", "param": "key_alias", "code": "400",
    }  # fmt: skip
    assert cp.post("/key/update", {"key": key, "key_alias": "one of a kind"}).status == 400


def test_quotes_and_statements_are_values(cp):
    nasty = "'; DROP TABLE \"LiteLLM_VerificationToken\"; --\\ \" {a,b} $1"
    made = make(cp, key_alias=nasty, models=[nasty], access_group_ids=[nasty], metadata={nasty: nasty})
    info = cp.get(f"/key/info?key={made['token']}").json["info"]
    assert (info["key_alias"], info["models"], info["access_group_ids"]) == (nasty, [nasty], [nasty])
    assert info["metadata"] == {nasty: nasty}


def test_soft_budget_has_a_budget_row(cp, postgres):
    made = make(cp, soft_budget=3)
    assert made["soft_budget"] == 3
    assert postgres.sql(cp.database, 'SELECT soft_budget FROM "LiteLLM_BudgetTable" WHERE budget_id = %s', made["budget_id"]) == [("3",)]


def test_service_account_belongs_to_a_team(cp, tenants):
    reply = cp.post("/key/service-account/generate", {})
    assert reply.status == 400 and error(reply)["message"].startswith("team_id is required for service account keys.")
    reply = cp.post("/key/service-account/generate", {"team_id": "nowhere"})
    assert reply.status == 400 and error(reply)["message"].startswith("team_id does not exist in the database.")
    made = cp.post("/key/service-account/generate", {"team_id": "red", "user_id": "bob"}).json
    assert (made["team_id"], made["user_id"]) == ("red", None)


# --- who may generate

GENERATE = [
    ("master", {}, 200, None), ("root", {"user_id": "ivy"}, 200, None),
    ("vera", {}, 403, "user not allowed to access this route"), ("ines", {}, 401, "Only proxy admin can be used to generate"),
    ("nobody", {}, 401, "Only proxy admin can be used to generate"),
    ("ivy", {}, 200, None), ("ivy", {"user_id": "ivy"}, 200, None),
    ("ivy", {"user_id": "bob"}, 403, "User can only create keys for themselves. Got user_id=bob, Your ID=ivy"),
    ("ivy", {"team_id": "red"}, 400, "User=ivy not assigned to team=red"),
    ("ivy", {"team_id": "nowhere"}, 400, "User=ivy not assigned to team=nowhere"),
    ("ivy", {"spend": -5}, 403, "Only proxy admins can set spend."), ("ivy", {"permissions": {"get_spend_routes": True}}, 403, "permissions"),
    ("ivy", {"metadata": {"temp_budget_increase": 9}}, 403, "temp_budget_increase"),
    ("ivy", {"allowed_routes": ["/key/*"]}, 403, "Only proxy admins can set `allowed_routes` on a key."),
    ("ivy", {"key_type": "management"}, 403, "Only proxy admins can set `allowed_routes` on a key."),
    ("ivy", {"key_type": "llm_api"}, 200, None), ("ivy", {"organization_id": "one"}, 400, "Organization not found"),
    ("ann", {"team_id": "red"}, 200, None),
    ("bob", {"team_id": "red"}, 401, "Team member does not have permissions for endpoint: /key/generate."),
    ("bob", {"team_id": "blue"}, 400, "User=bob not assigned to team=blue"),
    ("olga", {"team_id": "blue"}, 400, "User=olga not assigned to team=blue"),
]  # fmt: skip


@pytest.mark.parametrize(("who", "body", "status", "text"), GENERATE)
def test_who_may_generate(cp, tenants, who, body, status, text):
    reply = cp.post("/key/generate", body, key=tenants.keys[who])
    assert reply.status == status, reply.body
    if text:
        assert text in error(reply)["message"]
    elif who not in ("master", "root"):
        assert (reply.json["user_id"], reply.json["created_by"]) == (who, who)


def test_nobody_grants_more_than_they_hold(cp, tenants):
    key = tenants.make_key(user_id="ivy", max_budget=2)
    reply = cp.post("/key/generate", {"max_budget": 3}, key=key)
    assert reply.status == 400
    assert error(reply)["message"] == '{\'error\': "max_budget (3.0) cannot exceed the caller\'s own max_budget (2.0)."}'
    assert cp.post("/key/generate", {"max_budget": 1}, key=key).status == 200
    tenants._sql("""INSERT INTO "LiteLLM_UserTable" (user_id, user_role, models) VALUES ('mia', 'internal_user', '{a,b*}')""")
    key = tenants.make_key(user_id="mia")
    assert cp.post("/key/generate", {"models": ["a", "bb"]}, key=key).status == 200
    assert cp.post("/key/generate", {"models": ["c"]}, key=key).status == 403


# --- keys of callers


@pytest.mark.parametrize(
    ("key", "status", "type_", "text"),
    [
        (None, 401, "auth_error", "Authentication Error, No api key passed in."),
        ("nope", 401, "auth_error", "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'."),
        ("sk-unknown-key-1234", 401, "token_not_found_in_db", "Invalid proxy server token passed. Received API Key = sk-...1234"),
    ],
)
def test_credentials_that_are_none(cp, key, status, type_, text):
    reply = cp.post("/key/generate", {}, key=key)
    assert (reply.status, error(reply)["type"]) == (status, type_)
    assert text in error(reply)["message"]


def test_states_of_a_caller(cp, tenants):
    expired = tenants.make_key(user_id="ivy", expires="2020-01-01 00:00:00")
    reply = cp.get("/key/info", key=expired)
    assert (reply.status, error(reply)["type"], error(reply)["param"]) == (400, "expired_key", "sk-..." + expired[-4:])
    blocked = tenants.make_key(user_id="ivy", blocked="true")
    assert "Key is blocked. Update via `/key/unblock`" in error(cp.get("/key/info", key=blocked))["message"]
    tenants.team("grey", blocked="true")
    of_team = tenants.make_key(user_id="ivy", team_id="grey")
    assert "Team=grey is blocked." in error(cp.get("/key/info", key=of_team))["message"]
    narrow = tenants.make_key(user_id="ivy", allowed_routes="{/key/list,spend_tracking_routes}")
    assert cp.get("/key/list", key=narrow).status == 200
    reply = cp.get("/key/info", key=narrow)
    assert reply.status == 403
    assert error(reply)["message"] == ("Virtual key is not allowed to call this route. Only allowed to call routes: "
                                       "['/key/list', 'spend_tracking_routes']. Tried to call route: /key/info")  # fmt: skip


@pytest.mark.parametrize("header", ["x-litellm-api-key", "API-Key", "x-api-key", "x-goog-api-key"])
def test_credential_in_other_headers(cp, header):
    assert cp.get("/key/list", key=None, headers=[(header, cp.key)]).status == 200


# --- info, update, delete, block, regenerate: whose keys


@pytest.fixture
def targets(tenants):
    """A key of ivy's, one of bob's in team red, one of zoe's in team blue."""
    return {
        "ivy": tenants.make_key(user_id="ivy", created_by="ivy"),
        "bob": tenants.make_key(user_id="bob", team_id="red", created_by="bob"),
        "zoe": tenants.make_key(user_id="zoe", team_id="blue"),
    }


ASK = {
    "info": lambda cp, key, as_: cp.get(f"/key/info?key={key}", key=as_),
    "update": lambda cp, key, as_: cp.post("/key/update", {"key": key, "rpm_limit": 5}, key=as_),
    "budget": lambda cp, key, as_: cp.post("/key/update", {"key": key, "max_budget": 5}, key=as_),
    "block": lambda cp, key, as_: cp.post("/key/block", {"key": key}, key=as_),
    "unblock": lambda cp, key, as_: cp.post("/key/unblock", {"key": key}, key=as_),
    "reset": lambda cp, key, as_: cp.post(f"/key/{key}/reset_spend", {"reset_to": 0}, key=as_),
    "regenerate": lambda cp, key, as_: cp.post(f"/key/{key}/regenerate", {}, key=as_),
    "delete": lambda cp, key, as_: cp.post("/key/delete", {"keys": [key]}, key=as_),
}

# caller, whose key: info update budget block unblock reset regenerate delete
MATRIX = """
    master  zoe  200 200 200 200 200 200 200 200
    root    bob  200 200 200 200 200 200 200 200
    vera    bob  200 403 403 403 403 403 403 403
    ivy     ivy  200 200 403 403 403 403 200 200
    ivy     bob  404 404 404 404 404 404 404 404
    ines    ivy  404 401 401 401 401 401 401 401
    ann     bob  200 200 200 200 200 200 200 200
    ann     zoe  404 404 404 404 404 404 404 404
    bob     bob  200 401 401 403 403 403 401 200
    bob     zoe  404 404 404 404 404 404 404 404
    olga    bob  200 200 200 200 200 200 200 200
    olga    zoe  404 404 404 404 404 404 404 404
    zoe     bob  404 404 404 404 404 404 404 404
    nobody  bob  404 401 401 401 401 401 401 401
"""


@pytest.mark.parametrize(
    ("who", "whose", "ask", "status"),
    [(who, whose, ask, int(s)) for line in MATRIX.strip().splitlines() for who, whose, *all_ in [line.split()]
     for ask, s in zip(ASK, all_, strict=True)],
)  # fmt: skip
def test_who_may_do_what_to_whose_key(cp, tenants, targets, who, whose, ask, status):
    target = targets[whose]
    reply = ASK[ask](cp, target, tenants.keys[who])
    assert reply.status == status, reply.body
    if status != 200:
        assert tenants.audits(sha256(target)) == [], "a refusal leaves no trace"
        assert target not in reply.body.decode()


@pytest.mark.parametrize("ask", ASK)
def test_key_that_is_not_there(cp, ask):
    reply = ASK[ask](cp, "sk-there-is-no-such-key", cp.key)
    assert reply.status == 404, reply.body


# --- update


def test_update_changes_what_stands_in_the_body(cp, tenants):
    made = make(cp, max_budget=5, rpm_limit=3, metadata={"a": 1}, tags=["t"])
    reply = cp.post("/key/update", {"key": made["key"], "max_budget": None, "tpm_limit": 9, "model_rpm_limit": {"m": 2}})
    assert reply.status == 200 and reply.json["key"] == made["key"]
    info = cp.get(f"/key/info?key={made['key']}").json["info"]
    assert (info["max_budget"], info["rpm_limit"], info["tpm_limit"]) == (None, 3, 9)
    assert info["metadata"] == {"a": 1, "tags": ["t"], "model_rpm_limit": {"m": 2}}
    cp.post("/key/update", {"key": made["key"], "metadata": {"b": 2}})
    assert cp.get(f"/key/info?key={made['key']}").json["info"]["metadata"] == {"b": 2}
    audits = tenants.audits(made["token"])
    assert [a for a, *_ in audits] == ["created", "updated", "updated"]
    assert audits[1][2]["max_budget"] == 5 and audits[1][3]["max_budget"] is None and audits[1][3]["tpm_limit"] == 9


def test_update_by_alias(cp):
    make(cp, key_alias="by name")
    assert cp.post("/key/update", {"key_alias": "by name", "rpm_limit": 4}).json["rpm_limit"] == 4
    reply = cp.post("/key/update", {"key_alias": "by no name"})
    assert (reply.status, error(reply)["param"]) == (404, "key_alias")
    reply = cp.post("/key/update", {})
    assert (reply.status, error(reply)["message"]) == (400, "either key or key_alias must be provided")


def test_duration_of_minus_one_never_ends(cp):
    made = make(cp, duration="1h")
    assert cp.post("/key/update", {"key": made["key"], "duration": "-1"}).json["expires"] is None


def test_service_account_id_stays(cp):
    made = make(cp, team_id="red", metadata={"service_account_id": "s"})
    assert cp.post("/key/update", {"key": made["key"], "metadata": {}}).json["metadata"] == {"service_account_id": "s"}
    reply = cp.post("/key/update", {"key": made["key"], "metadata": {"service_account_id": "other"}})
    assert reply.status == 400 and "immutable" in error(reply)["message"]
    assert error(reply)["type"] == "auth_error"


@pytest.mark.parametrize(
    ("who", "team", "text"),
    [
        ("ivy", "red", "User=ivy is not a member of the team=red."),
        ("ivy", "nowhere", "Team not found for team_id=nowhere."),
        ("bob", "blue", "Team member does not have permissions for endpoint: /key/update."),
    ],
)
def test_key_that_moves_must_fit_the_team(cp, tenants, targets, who, team, text):
    reply = cp.post("/key/update", {"key": targets[who], "team_id": team}, key=tenants.keys[who])
    assert reply.status in (400, 401, 403) and text in error(reply)["message"]


def test_owner_of_a_key_is_changed_by_admins_only(cp, tenants, targets):
    reply = cp.post("/key/update", {"key": targets["ivy"], "user_id": "root"}, key=tenants.keys["ivy"])
    assert reply.status == 403 and "not allowed to rebind the key from user=ivy to user=root" in error(reply)["message"]
    reply = cp.post("/key/update", {"key": targets["ivy"], "user_id": None}, key=tenants.keys["ivy"])
    assert reply.status == 403
    assert cp.post("/key/update", {"key": targets["ivy"], "user_id": "bob"}).json["user_id"] == "bob"


def test_bulk_update_goes_on_behind_a_failure(cp, tenants):
    one, two = make(cp)["key"], make(cp)["key"]
    reply = cp.post("/key/bulk_update", {"keys": [
        {"key": one, "max_budget": 7}, {"key": "sk-there-is-no-such-key"}, {"key": two, "max_budget": -1},
        {"key": two, "tags": ["x"]}]})  # fmt: skip
    out = reply.json
    assert reply.status == 200 and out["total_requested"] == 4
    assert [u["key"] for u in out["successful_updates"]] == [one, two]
    assert [(f["key"], f["failed_reason"]) for f in out["failed_updates"]] == [
        ("sk-there-is-no-such-key", "Key not found."), (two, "max_budget must be a non-negative finite number. Received: -1.0"),
    ]  # fmt: skip
    assert cp.get(f"/key/info?key={two}").json["info"]["metadata"] == {"tags": ["x"]}
    assert cp.post("/key/bulk_update", {"keys": []}).json == {"detail": {"error": "No keys provided for update"}}
    many = cp.post("/key/bulk_update", {"keys": [{"key": "sk-x"}] * 501})
    assert many.json == {"detail": {"error": "Maximum 500 keys can be updated at once. Found 501 keys."}}
    assert cp.post("/key/bulk_update", {"keys": []}, key=tenants.keys["ivy"]).status == 401


# --- delete


def test_deleted_key_is_kept_among_the_deleted(cp, tenants, postgres):
    made = make(cp, key_alias="to go")
    reply = cp.post("/key/delete", {"keys": [made["key"]]}, headers=[("litellm-changed-by", "somebody")])
    assert reply.json == {"deleted_keys": [made["key"]]}
    rows = postgres.sql(cp.database, 'SELECT key_alias, deleted_by, deleted_by_api_key, litellm_changed_by FROM '
                                     '"LiteLLM_DeletedVerificationToken" WHERE token = %s', made["token"])  # fmt: skip
    assert rows == [("to go", "default_user_id", sha256(cp.key), "somebody")]
    assert cp.get("/key/info", key=made["key"]).status == 401
    assert cp.get(f"/key/info?key={made['token']}").json["info"]["status"] == "deleted"
    assert [(a, by) for a, by, *_ in tenants.audits(made["token"])] == [("created", "default_user_id"), ("deleted", "somebody")]


def test_delete_by_alias_and_all_or_nothing(cp):
    one = make(cp, key_alias="alias to delete")
    assert cp.post("/key/delete", {"key_aliases": ["alias to delete"]}).json == {"deleted_keys": ["alias to delete"]}
    two = make(cp)
    reply = cp.post("/key/delete", {"keys": [two["key"], one["key"]]})
    assert reply.status == 400 and "Not all keys passed in were deleted." in error(reply)["message"]
    assert cp.get(f"/key/info?key={two['key']}").json["info"]["status"] == "active"
    assert cp.post("/key/delete", {}).status == 400


# --- block


def test_blocked_key_is_refused_until_unblocked(cp, tenants, key):
    assert cp.post("/key/block", {"key": key}).json["blocked"] is True
    assert cp.get("/key/info", key=key).status == 401
    assert cp.post("/key/unblock", {"key": sha256(key)}).json["blocked"] is False
    assert cp.get("/key/info", key=key).status == 200
    assert [a for a, *_ in tenants.audits(sha256(key))] == ["created", "blocked", "blocked"]
    reply = cp.post("/key/block", {"key": "neither key nor hash"})
    assert (reply.status, error(reply)["message"], error(reply)["param"]) == (400, "Invalid key format.", "key")


# --- regenerate


def test_regenerated_key_keeps_its_row(cp, tenants):
    made = make(cp, key_alias="to renew", max_budget=4)
    new = cp.post("/key/regenerate", {"key": made["key"]}).json
    assert new["key"] != made["key"] and new["token"] == sha256(new["key"])
    assert (new["key_alias"], new["max_budget"]) == ("to renew", 4)
    assert cp.get("/key/info", key=made["key"]).status == 401
    assert cp.get("/key/info", key=new["key"]).status == 200
    assert tenants.audits(made["token"])[-1][0] == "rotated"
    assert (made["token"],) in [k for k, gone in tenants.changes("LiteLLM_VerificationToken") if gone]


def test_grace_period_lets_the_old_key_go_on(cp, tenants):
    made = make(cp)
    second = cp.post(f"/key/{made['token']}/regenerate", {"grace_period": "1h"}).json
    third = cp.post(f"/key/{second['token']}/regenerate", {"grace_period": "1h"}).json
    for key in (made["key"], second["key"], third["key"]):
        assert cp.get("/key/info", key=key).json["key"] == third["token"]
    tenants._sql('UPDATE "LiteLLM_DeprecatedVerificationToken" SET revoke_at = timezone(\'utc\', now()) - interval \'1 s\' WHERE token = %s', made["token"])
    assert cp.get("/key/info", key=made["key"]).status == 401


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "No key passed in."), ({"key": "sk-there-is-no-such-key"}, 404, "Key sk-...-key not found."),
        ({"key": "OWN", "new_key": "abc"}, 400, "New key must start with 'sk-'."),
        ({"key": "OWN", "new_key": "sk-short"}, 400, "New key must be at least 16 characters long."),
        ({"key": "OWN", "grace_period": "soon"}, 400, "Unsupported duration unit"),
    ],
)  # fmt: skip
def test_regenerate_refuses(cp, key, body, status, text):
    reply = cp.post("/key/regenerate", {k: key if v == "OWN" else v for k, v in body.items()})
    assert reply.status == status and text in error(reply)["message"]


def test_reset_spend(cp, tenants):
    key = tenants.make_key(user_id="ivy", spend=5, max_budget=3)
    for to, text in [(-1, "reset_to must be >= 0"), (6, "reset_to (6.0) must be <= current spend (5.0)"),
                     (4, "reset_to (4.0) must be <= budget (3.0)")]:  # fmt: skip
        reply = cp.post(f"/key/{key}/reset_spend", {"reset_to": to})
        assert reply.status == 400 and text in error(reply)["message"]
    out = cp.post(f"/key/{key}/reset_spend", {"reset_to": 1}).json
    assert out == {"key_hash": sha256(key), "spend": 1, "previous_spend": 5, "max_budget": 3, "budget_reset_at": None}


# --- lists


def test_pages(cp, database, start):
    other = start(database)
    tokens = [other.post("/key/generate", {"key_alias": f"k{i}"}).json["token"] for i in range(5)]
    page = other.get("/key/list?size=2&page=1").json
    assert page == {"keys": tokens[:-3:-1], "total_count": 5, "current_page": 1, "total_pages": 3}
    assert other.get("/key/list?size=2&page=3").json["keys"] == tokens[:1]
    assert other.get("/key/list?sort_by=key_alias&sort_order=asc&size=1").json["keys"] == tokens[:1]
    (row,) = other.get("/key/list?key_alias=k3&return_full_object=true").json["keys"]
    assert row["token"] == tokens[3]
    assert other.get("/key/list?key_alias=K&substring_matching=true").json["total_count"] == 5
    assert other.get("/key/list?key_alias=%25&substring_matching=true").json["total_count"] == 0
    assert other.get("/key/aliases?search=K1").json["aliases"] == ["k1"]


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("sort_by=password", 400, "Invalid sort column."), ("sort_by=spend&sort_order=x", 400, "Invalid sort order."),
        ("status=x", 400, "Invalid status value."), ("expires=x", 400, "Invalid expires value."),
    ],
)  # fmt: skip
def test_list_refuses(cp, query, status, text):
    reply = cp.get("/key/list?" + query)
    assert reply.status == status and text in error(reply)["message"]


@pytest.mark.parametrize("query", ["page=0", "size=0", "size=101", "size=x", "include_team_keys=x"])
def test_list_query_is_checked(cp, query):
    reply = cp.get("/key/list?" + query)
    assert reply.status == 422 and reply.json["detail"][0]["loc"] == ["query", query.split("=")[0]]


def test_lists_show_what_is_the_callers(cp, tenants, targets):
    def listed(who, query=""):
        return set(cp.get(f"/key/list?size=100{query}", key=tenants.keys[who]).json["keys"])

    ivy, bob, zoe = (sha256(targets[k]) for k in ("ivy", "bob", "zoe"))
    assert ivy in listed("ivy") and not {bob, zoe} & listed("ivy")
    assert bob not in listed("ann") and bob in listed("ann", "&include_team_keys=true")
    assert zoe not in listed("ann", "&include_team_keys=true")
    assert ivy in listed("root", "&user_id=ivy") and bob not in listed("root", "&user_id=ivy")
    for query, text in [("user_id=bob", "another user's keys"), ("team_id=red", "this team's keys"),
                        ("organization_id=one", "this organization's keys"), (f"key_hash={bob}", "Key Hash not found.")]:  # fmt: skip
        reply = cp.get(f"/key/list?{query}", key=tenants.keys["ivy"])
        assert reply.status == 403 and text in error(reply)["message"]


def test_several_keys_at_once(cp, tenants, targets):
    reply = cp.post("/v2/key/info", {"keys": [targets["ivy"], targets["bob"]]}, key=tenants.keys["ivy"])
    assert [i["user_id"] for i in reply.json["info"]] == ["ivy"]
    assert cp.post("/v2/key/info", {}).status == 422


def test_session_keys_are_hidden(cp, tenants):
    session = tenants.make_key(user_id="ivy", team_id="litellm-dashboard")
    assert sha256(session) not in cp.get("/key/list?size=100").json["keys"]


def test_health_of_a_key(cp, tenants):
    assert cp.post("/key/health", {}, key=tenants.keys["ivy"]).json["key"] == "healthy"


# --- settings


SETTINGS = {"litellm_settings": {
    "default_key_generate_params": {"max_budget": 1.5, "models": ["d"]},
    "upperbound_key_generate_params": {"max_budget": 10, "duration": "2d", "rpm_limit": 100},
    "key_generation_settings": {
        "team_key_generation": {"allowed_team_member_roles": ["admin"]},
        "personal_key_generation": {"allowed_user_roles": ["proxy_admin"]},
    },
    "enable_key_alias_format_validation": True,
}}  # fmt: skip


def test_defaults_and_bounds_of_the_configuration(database, start):
    cp = start(database, SETTINGS)
    made = cp.post("/key/generate", {}).json
    assert (made["max_budget"], made["models"], made["rpm_limit"]) == (1.5, ["d"], 100)
    assert made["expires"]
    for body, text in [({"max_budget": 11}, "max_budget is over max limit set in config - user_value=11.0; max_value=10"),
                       ({"duration": "3d"}, "duration is over max limit set in config - user_value=3d; max_value=2d"),
                       ({"duration": "-1"}, "duration is over max limit set in config - user_value=-1; max_value=2d"),
                       ({"key_alias": "-a"}, "Invalid key_alias format.")]:  # fmt: skip
        reply = cp.post("/key/generate", body)
        assert reply.status == 400 and text in error(reply)["message"]
        assert cp.post("/key/update", {"key": made["key"], **body}).status == 400


def test_who_may_generate_by_the_configuration(database, start, postgres):
    from support.tenants import Tenants

    cp = start(database, SETTINGS)
    tenants = Tenants(cp, postgres)
    reply = cp.post("/key/generate", {}, key=tenants.keys["ivy"])
    assert reply.status == 400 and error(reply)["message"] == ("Personal key creation has been restricted by admin. "
                                                              "Allowed roles=['proxy_admin']. Your role=internal_user")  # fmt: skip
    reply = cp.post("/key/generate", {"team_id": "red"}, key=tenants.keys["bob"])
    assert reply.status == 400 and "Team member role user not in allowed_team_member_roles=['admin']" in error(reply)["message"]


def test_guaranteed_throughput_is_not_promised_twice(cp, tenants):
    tenants.team("fast", rpm_limit=10, tpm_limit=100)
    promise = {"team_id": "fast", "rpm_limit_type": "guaranteed_throughput"}
    assert cp.post("/key/generate", {**promise, "rpm_limit": 6}).status == 200
    reply = cp.post("/key/generate", {**promise, "rpm_limit": 5})
    assert reply.status == 400
    assert error(reply)["message"] == "Allocated RPM limit=6 + Key RPM limit=5 is greater than team RPM limit=10"


# --- many of a team


def test_keys_of_a_team_at_once(cp, tenants):
    keys = [cp.post("/key/generate", {"team_id": "red", "key_alias": f"bulk-{i}"}).json for i in range(3)]
    other = cp.post("/key/generate", {"team_id": "blue", "key_alias": "bulk-other"}).json
    names = [keys[0]["key"], keys[0]["token"], keys[1]["token"], other["token"]]
    reply = cp.post("/team/key/bulk_update", {"team_id": "red", "key_ids": names, "update_fields": {"rpm_limit": 7, "tags": ["t"]}},
                    key=tenants.keys["ann"])  # fmt: skip
    assert reply.status == 200 and reply.json["total_requested"] == 3
    assert [u["key"] for u in reply.json["successful_updates"]] == [keys[0]["key"], keys[1]["token"]]
    assert [f["key"] for f in reply.json["failed_updates"]] == [other["token"]]
    assert reply.json["successful_updates"][0]["key_info"]["rpm_limit"] == 7
    assert cp.get(f"/key/info?key={other['token']}").json["info"]["rpm_limit"] is None
    cp.post("/key/block", {"key": keys[2]["token"]})
    every = cp.post("/team/key/bulk_update", {"team_id": "red", "all_keys_in_team": True, "update_fields": {"tpm_limit": 9}}).json
    assert every["failed_updates"] == [] and {k["token"] for k in keys[:2]} <= {u["key"] for u in every["successful_updates"]}
    assert cp.get(f"/key/info?key={keys[2]['token']}").json["info"]["tpm_limit"] is None  # blocked: it stays as it is
    assert tenants.audits(keys[1]["token"])[-1][0] == "updated"


def test_limits_hold_for_many_as_for_one(cp, tenants):
    key = cp.post("/key/generate", {"team_id": "red"}).json["token"]
    body = {"team_id": "red", "key_ids": [key], "update_fields": {"max_budget": -1}}
    reply = cp.post("/team/key/bulk_update", body)
    assert reply.status == 200 and reply.json["successful_updates"] == [] and reply.json["failed_updates"][0]["failed_reason"]
    admin_only = {**body, "update_fields": {"temp_budget_increase": 5, "temp_budget_expiry": "2031-01-01T00:00:00Z"}}
    assert cp.post("/team/key/bulk_update", admin_only, key=tenants.keys["ann"]).status == 403
    assert cp.post("/team/key/bulk_update", admin_only).json["failed_updates"] == []
    ignored = {**body, "update_fields": {"rpm_limit": 1, "user_id": "root", "team_id": "blue", "spend": 0}}
    info = cp.post("/team/key/bulk_update", ignored).json["successful_updates"][0]["key_info"]
    assert (info["team_id"], info["user_id"], info["rpm_limit"]) == ("red", None, 1)


@pytest.mark.parametrize(
    ("body", "status"),
    [({"team_id": "red", "key_ids": ["x"]}, 422), ({"team_id": "red", "update_fields": {"rpm_limit": 1}}, 422),
     ({"team_id": "red", "key_ids": ["x"], "all_keys_in_team": True, "update_fields": {"rpm_limit": 1}}, 422),
     ({"team_id": "red", "key_ids": ["x"], "update_fields": {}}, 422), ({"team_id": "red", "key_ids": ["x"], "update_fields": {"unknown": 1}}, 422),
     ({"team_id": "red", "key_ids": ["x"] * 501, "update_fields": {"rpm_limit": 1}}, 400),
     ({"team_id": "none", "key_ids": ["x"], "update_fields": {"rpm_limit": 1}}, 404)],
)  # fmt: skip
def test_bodies_for_many_that_do_not_fit(cp, tenants, body, status):
    assert cp.post("/team/key/bulk_update", body).status == status
