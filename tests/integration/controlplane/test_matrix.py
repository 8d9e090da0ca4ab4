"""Who may call what: each row of proto/routes.def as each caller, against a table of what is expected.

A row without an expectation fails. What a row names belongs to tenant one and says "crimson" somewhere: nobody outside may
read the word, nor tell by the answer whether the named thing is there.
"""

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from support.controlplane import ControlPlane
from support.kept import Kept
from support.tenants import Tenants, sha256

TABLE = (Path(__file__).parents[3] / "proto/routes.def").read_text()
BUILT = {f"{m} {p}": policy for m, p, policy in re.findall(r'^ADMIN_ROUTE\(\w+, (\w+), "([^"]+)", (\w+),', TABLE, re.M)}
NOT_BUILT = {f"{m} {p}": policy for m, p, policy in re.findall(r'^NOT_BUILT\(\w+, (\w+), "([^"]+)", (\w+)\)', TABLE, re.M)}

# Columns: master (the key), root (proxy_admin), vera (proxy_admin_viewer)
#          of tenant one: olga (org_admin), ann (team admin), bob (team member), svc (a key of the team without user)
#          of none: ivy (internal_user), ines (internal_user_viewer), nobody (a key without user)
#          of tenant two: zed (org_admin), zoe (team admin)
CALLERS = "master root vera  olga ann bob svc  ivy ines nobody  zed zoe".split()
OUTSIDE = ("ivy", "ines", "nobody", "zed", "zoe")
# +: done   -: 401 or 403   0: 404   4: another 4xx
OUTCOME = {"+": range(200, 300), "-": (401, 403), "0": (404,), "4": (400,)}

EVERYBODY = "+++ ++++ +++ ++"
ADMIN = "++- ---- --- --"
READ = "+++ ---- --- --"
ORG = "++- +--- --- 0-"
ORG_READ = "+++ +--- --- 0-"
ORG_LIST = "+++ +--- --- +-"  # what of it is theirs
RUNS = "++- ++-- 00- 00"  # the team
HAS_USER = "+++ +++- ++- ++"
SPEND = "+++ +++- ++- ++"  # of it what is their own
SPEND_DAYS = {"start_date": "2026-01-01", "end_date": "2026-02-01"}
SPEND_TIMES = {"start_date": "2026-01-01 00:00:00", "end_date": "2026-02-01 00:00:00"}

K = sha256("sk-crimson-of-team")  # bob's, in team red; made by root
P = sha256("sk-crimson-personal")  # bob's own
DAYS = {"start_date": "2026-01-01", "end_date": "2026-01-02"}
ACTIVITY = ("", "/aggregated", "/aggregated/keys", "/aggregated/search", "/aggregated/model_top_keys", "/export")
MODEL = {"model_name": "n", "litellm_params": {"model": "openai/x"}}

EXPECTED = [
    ("GET /", {}, EVERYBODY), ("GET /health/liveliness", {}, EVERYBODY), ("GET /health/liveness", {}, EVERYBODY),
    ("GET /health/readiness", {}, EVERYBODY), ("GET /openapi.json", {}, EVERYBODY), ("GET /routes", {}, EVERYBODY),
    ("GET /robots.txt", {}, EVERYBODY), ("GET /public/providers", {}, EVERYBODY),
    ("GET /public/providers/fields", {}, EVERYBODY), ("GET /public/endpoints", {}, EVERYBODY),
    ("GET /public/litellm_model_cost_map", {}, EVERYBODY), ("GET /public/litellm_blog_posts", {}, EVERYBODY),
    ("GET /public/model_hub", {}, EVERYBODY), ("GET /public/model_hub/info", {}, EVERYBODY),
    ("GET /health/drain", {}, "000 0000 000 00"),

    ("GET /settings", {}, READ), ("GET /active/callbacks", {}, READ), ("GET /health/backlog", {}, READ),
    ("GET /health/readiness/details", {}, READ), ("GET /health/shared-status", {}, READ),
    ("GET /health/history", {}, READ), ("GET /health/latest", {}, READ), ("GET /health/license", {}, ADMIN),
    ("GET /weir/nodes", {}, READ), ("GET /weir/join", {}, READ), ("POST /weir/join", {"name": "pod"}, "44- ---- --- --"),
    ("DELETE /weir/join/{id}", {"id": "none"}, "00- ---- --- --"),

    ("POST /key/generate", {}, "++- +++- +-- ++"),
    ("POST /key/generate", {"team_id": "red"}, "++- 4+-- 4-- 44"),
    ("POST /key/generate", {"user_id": "bob"}, "++- --+- --- --"),
    ("POST /key/service-account/generate", {"team_id": "red"}, "++- ++-- 4-- 44"),
    ("POST /key/update", {"key": K, "key_alias": "new"}, "++- ++-- 0-- 00"),
    ("POST /key/update", {"key": P, "key_alias": "new"}, "++- 00+- 0-- 00"),
    ("POST /key/update", {"key": P, "team_id": "red"}, "++- 00-- 0-- 00"),
    ("POST /key/bulk_update", {"keys": [{"key": K, "tags": ["t"]}]}, ADMIN),
    ("POST /team/key/bulk_update", {"team_id": "red", "key_ids": [K], "update_fields": {"tags": ["t"]}}, "++0 ++-- 00- 00"),
    ("POST /key/delete", {"keys": [K]}, "++- +++- 0-- 00"),
    ("POST /key/delete", {"key_aliases": ["crimson personal"]}, "++- 00+- 0-- 00"),
    ("GET /key/info", {"key": K}, "+++ +++0 000 00"), ("GET /key/info", {"key": P}, "+++ 00+0 000 00"),
    ("GET /key/info", {}, "4++ ++++ +++ ++"),
    ("POST /v2/key/info", {"keys": [K, P]}, EVERYBODY),
    ("GET /key/list", {"return_full_object": "true", "include_team_keys": "true"}, HAS_USER),
    ("GET /key/list", {"team_id": "red"}, "+++ -++- --- --"), ("GET /key/list", {"user_id": "bob"}, "+++ --+- --- --"),
    ("GET /key/list", {"organization_id": "one"}, "+++ +--- --- --"), ("GET /key/list", {"key_hash": K}, "+++ +++- --- --"),
    ("GET /key/aliases", {"team_id": "red"}, EVERYBODY),
    ("POST /key/regenerate", {"key": K}, "++- ++-- 0-- 00"),
    ("POST /key/{key}/regenerate", {"key": P}, "++- 00+- 0-- 00"),
    ("POST /key/{key}/reset_spend", {"key": K, "reset_to": 1}, "++- ++-- 0-- 00"),
    ("POST /key/block", {"key": K}, "++- ++-- 0-- 00"), ("POST /key/unblock", {"key": P}, "++- 00-- 0-- 00"),
    ("POST /key/health", {}, EVERYBODY),

    ("POST /user/bulk_update", {"users": [{"user_id": "bob", "user_alias": "x"}]}, ADMIN),
    ("POST /user/delete", {"user_ids": ["owen"]}, ORG),
    ("POST /user/delete", {"user_ids": ["bob"]}, "++- 0--- --- 0-"),  # of no organization
    ("GET /user/info", {"user_id": "bob"}, "+++ 00+0 000 00"), ("GET /user/info", {}, "+++ +++0 ++0 ++"),
    ("GET /v2/user/info", {"user_id": "bob"}, "+++ 0++0 000 00"),
    ("GET /user/list", {}, ORG_LIST), ("GET /user/list", {"team": "red"}, ORG_LIST),
    ("GET /user/list", {"organization_ids": "one"}, "+++ +--- --- --"),
    ("POST /user/new", {"user_id": "new"}, ADMIN), ("POST /user/new", {"user_id": "new", "organizations": ["one"]}, ORG),
    ("POST /user/update", {"user_id": "bob", "user_alias": "x"}, "++- 0-+- 00- 00"),
    ("POST /user/update", {"user_id": "owen", "user_alias": "x"}, "++- -00- 00- 00"),

    ("GET /user/available_roles", {}, EVERYBODY), ("GET /user/available_users", {}, READ),
    ("GET /user/filter/ui", {"search": "bob"}, EVERYBODY), ("GET /user/filter/ui", {}, EVERYBODY),

    ("POST /team/new", {"team_id": "new"}, ADMIN),
    ("POST /team/new", {"team_id": "new", "organization_id": "one"}, "++- +--- --- 4-"),
    ("POST /team/update", {"team_id": "red", "team_alias": "x"}, ORG),
    ("POST /team/update", {"team_id": "red", "organization_id": "two"}, "++- 0--- --- 0-"),
    ("PATCH /team/{team_id}", {"team_id": "red", "team_alias": "x"}, ORG),
    ("PATCH /team/{team_id}", {"team_id": "red", "metadata": {"a": 1}}, ORG),
    ("GET /team/{team_id}/members/me", {"team_id": "red"}, "000 0++4 004 00"), ("GET /team/filter/ui", {}, READ),
    ("POST /team/permissions_bulk_update", {"permissions": ["/key/generate"], "team_ids": ["red"]}, ADMIN),
    ("POST /team/delete", {"team_ids": ["red"]}, ORG), ("POST /team/block", {"team_id": "red"}, ORG),
    ("POST /team/unblock", {"team_id": "red"}, ORG),
    ("GET /team/info", {"team_id": "red"}, "+++ ++++ 000 00"),
    ("GET /team/list", {}, ORG_LIST), ("GET /team/list", {"user_id": "bob"}, "+++ +-+- --- +-"),
    ("GET /team/list", {"organization_id": "one"}, ORG_LIST),
    ("GET /v2/team/list", {}, HAS_USER), ("GET /v2/team/list", {"user_id": "bob"}, "+++ +-+- --- +-"),
    ("GET /v2/team/list", {"organization_id": "one"}, "+++ +++- ++- -+"), ("GET /team/available", {}, EVERYBODY),
    ("POST /team/member_add", {"team_id": "red", "member": {"user_id": "ivy", "role": "user"}}, RUNS),
    ("POST /team/bulk_member_add", {"team_id": "red", "members": [{"user_id": "ivy", "role": "user"}]}, RUNS),
    ("POST /team/member_update", {"team_id": "red", "user_id": "bob", "role": "admin"}, RUNS),
    ("POST /team/member_delete", {"team_id": "red", "user_id": "bob"}, RUNS),
    ("POST /team/model/add", {"team_id": "red", "models": ["x"]}, RUNS),
    ("POST /team/model/delete", {"team_id": "red", "models": ["m"]}, RUNS),
    ("GET /team/permissions_list", {"team_id": "red"}, "+++ ++-- 00- 00"),
    ("POST /team/permissions_update", {"team_id": "red", "team_member_permissions": ["/key/generate"]}, RUNS),

    ("POST /organization/new", {"organization_alias": "new"}, ADMIN),
    ("PATCH /organization/update", {"organization_id": "one", "organization_alias": "x"}, ORG),
    ("DELETE /organization/delete", {"organization_ids": ["one"]}, ADMIN),
    ("GET /organization/info", {"organization_id": "one"}, ORG_READ),
    ("POST /organization/info", {"organizations": ["one"]}, ORG_LIST),
    ("GET /organization/list", {}, EVERYBODY), ("GET /organization/list", {"org_id": "one"}, EVERYBODY),
    ("POST /organization/member_add", {"organization_id": "one", "member": {"user_id": "ivy", "role": "internal_user"}}, ORG),
    ("PATCH /organization/member_update", {"organization_id": "one", "user_id": "owen", "role": "org_admin"}, ORG),
    ("DELETE /organization/member_delete", {"organization_id": "one", "user_id": "owen"}, ORG),

    *((route.replace("/customer", name), body, expected) for name in ("/customer", "/end_user") for route, body, expected in [
        ("POST /customer/new", {"user_id": "new"}, ADMIN), ("POST /customer/update", {"user_id": "cus", "alias": "x"}, ADMIN),
        ("POST /customer/delete", {"user_ids": ["cus"]}, ADMIN), ("POST /customer/block", {"user_ids": ["cus"]}, ADMIN),
        ("POST /customer/unblock", {"user_ids": ["cus"]}, ADMIN), ("GET /customer/info", {"end_user_id": "cus"}, ADMIN),
        ("GET /customer/list", {}, READ)]),

    ("POST /budget/new", {"budget_id": "new"}, ADMIN), ("POST /budget/update", {"budget_id": "bud", "max_budget": 4}, ADMIN),
    ("POST /budget/delete", {"id": "bud"}, ADMIN), ("POST /budget/info", {"budgets": ["bud"]}, ADMIN),
    ("GET /budget/list", {}, READ), ("GET /budget/settings", {"budget_id": "bud"}, READ),

    ("POST /tag/new", {"name": "new"}, ADMIN), ("POST /tag/update", {"name": "tag", "description": "x"}, ADMIN),
    ("POST /tag/delete", {"name": "tag"}, ADMIN), ("POST /tag/info", {"names": ["tag"]}, ADMIN), ("GET /tag/list", {}, READ),

    ("POST /project/new", {"team_id": "red"}, ADMIN), ("POST /project/update", {"project_id": "pro", "description": "x"}, ADMIN),
    ("DELETE /project/delete", {"project_ids": ["pro"]}, ADMIN), ("GET /project/list", {}, EVERYBODY),
    ("GET /project/info", {"project_id": "pro"}, "+++ +++0 000 00"),

    ("POST /model/new", {**MODEL, "model_info": {}}, "++- ---- --- --"),
    ("POST /model/new", {**MODEL, "model_info": {"team_id": "red"}}, "++- ++-- 4-- 44"),
    ("POST /model/update", {"model_info": {"id": "dep"}, "litellm_params": {"rpm": 1}}, "++4 ++-- 44- 44"),
    ("POST /model/update", {"model_info": {"id": "common"}, "litellm_params": {"rpm": 1}}, "++- ---- --- --"),
    ("PATCH /model/{model_id}/update", {"model_id": "dep", "litellm_params": {"rpm": 1}}, "++0 ++-- 00- 00"),
    ("POST /model/delete", {"id": "dep"}, "++4 ++-- 44- 44"), ("POST /model/delete", {"id": "common"}, "++- ---- --- --"),
    ("POST /model/block", {"model_id": "dep"}, ADMIN), ("POST /model/unblock", {"model_id": "dep"}, ADMIN),
    ("GET /model/info", {}, EVERYBODY), ("GET /model/info", {"litellm_model_id": "dep"}, "+++ 4+++ 444 44"),
    ("GET /v1/model/info", {"litellm_model_id": "dep"}, "+++ 4+++ 444 44"),
    ("GET /model_group/info", {}, EVERYBODY), ("POST /model_group/make_public", {"model_groups": ["common"]}, ADMIN),
    ("POST /model_hub/update_useful_links", {"useful_links": {"a": "https://x.example"}}, ADMIN),
    ("GET /v2/model/info", {}, EVERYBODY), ("GET /v2/model/info", {"teamId": "red"}, "+++ +++0 000 00"),

    ("GET /access_group/list", {}, ADMIN), ("POST /access_group/new", {"access_group": "new", "model_names": ["common"]}, ADMIN),
    ("GET /access_group/{access_group}/info", {"access_group": "ag"}, ADMIN),
    ("PUT /access_group/{access_group}/update", {"access_group": "ag", "model_names": ["common"]}, ADMIN),
    ("DELETE /access_group/{access_group}/delete", {"access_group": "ag"}, ADMIN),
    *((route.replace("/group", name), body, expected) for name in ("/v1/access_group", "/v1/unified_access_group")
      for route, body, expected in [
        ("GET /group", {}, READ), ("POST /group", {"access_group_name": "new"}, ADMIN),
        ("GET /group/{access_group_id}", {"access_group_id": "grp"}, READ),
        ("PUT /group/{access_group_id}", {"access_group_id": "grp", "description": "x"}, ADMIN),
        ("DELETE /group/{access_group_id}", {"access_group_id": "grp"}, ADMIN)]),

    ("GET /credentials", {}, ADMIN), ("GET /credentials/by_model/{model_id}", {"model_id": "dep"}, ADMIN),
    ("POST /credentials", {"credential_name": "new", "credential_info": {}, "credential_values": {"api_key": "k"}}, ADMIN),
    ("GET /credentials/by_name/{credential_name:path}", {"credential_name": "cred"}, ADMIN),
    ("PATCH /credentials/{credential_name:path}", {"credential_name": "cred", "credential_info": {}}, ADMIN),
    ("DELETE /credentials/{credential_name:path}", {"credential_name": "cred"}, ADMIN),

    *((f"GET /{path}", query, SPEND) for path, query in [
        ("spend/logs", {}), ("spend/logs", SPEND_DAYS), ("spend/logs/v2", SPEND_DAYS), ("spend/logs/ui", SPEND_TIMES),
        ("spend/logs/session/ui", {"session_id": "talk"}), ("spend/tags", {}), ("spend/keys", {}), ("spend/users", {}),
        ("global/activity", SPEND_DAYS), ("global/activity/model", SPEND_DAYS), ("global/activity/cache_hits", SPEND_DAYS)]),
    ("GET /spend/logs/v2", {**SPEND_DAYS, "team_id": "red"}, "+++ -+-- --- --"),
    ("GET /spend/logs/ui", {"request_id": "req"}, "+++ -++- --- --"),
    ("GET /spend/logs/ui/{request_id}", {"request_id": "req"}, "+++ -++- --- --"),
    ("GET /spend/users", {"user_id": "bob"}, "+++ --+- --- --"),
    *((f"GET /global/spend{path}", SPEND_DAYS, READ) for path in (
        "", "/logs", "/keys", "/teams", "/models", "/provider", "/tags", "/all_tag_names", "/report")),
    ("POST /global/spend/end_users", {}, READ), ("GET /global/all_end_users", {}, ADMIN),
    ("POST /global/spend/reset", {}, "+-- ---- --- --"),
    ("POST /spend/calculate", {"model": "gpt-4o", "messages": []}, SPEND),
    ("POST /cost/estimate", {"model": "gpt-4o", "input_tokens": 1, "output_tokens": 1}, SPEND),

    ("GET /audit", {}, READ), ("GET /audit/{id}", {"id": "aud"}, READ), ("GET /weir/audit/verify", {}, ADMIN),
    ("GET /weir/spend", {}, "+++ +++- ++- ++"), ("GET /weir/spend", {"by": "team"}, READ), ("GET /weir/spend/verify", {}, ADMIN),
    ("GET /weir/spend/differences", {}, READ), ("GET /weir/spend/rows", {}, READ), ("POST /weir/spend/rows", {"ids": ["req-1"]}, READ),
    ("GET /weir/requests/{id}", {"id": "req-1"}, "+++ +++0 000 00"),
    ("GET /weir/explain/model/{name:path}", {"name": "common"}, READ), ("GET /weir/explain/key/{key}", {"key": K}, READ),

    ("GET /get/default_team_settings", {}, ADMIN), ("PATCH /update/default_team_settings", {"max_budget": 1}, ADMIN),
    ("GET /get/internal_user_settings", {}, ADMIN), ("PATCH /update/internal_user_settings", {"max_budget": 1}, ADMIN),
    ("POST /config/update", {"general_settings": {"completion_model": "x"}}, ADMIN),
    ("POST /config/field/update",
     {"field_name": "completion_model", "field_value": "m", "config_type": "general_settings"}, ADMIN),
    ("POST /config/field/delete", {"field_name": "completion_model", "config_type": "general_settings"}, ADMIN),
    ("GET /config/field/info", {"field_name": "completion_model"}, READ),
    ("GET /config/list", {"config_type": "general_settings"}, READ),

    *((f"GET /{kind}/daily/activity{below}", {**DAYS, "search": "x", "model_group": "x", **of}, expected) for below in ACTIVITY
      for kind, of, expected in [
        ("user", {}, HAS_USER), ("user", {"user_id": "bob"}, "+++ --+- --- --"),
        ("team", {}, "+++ +++0 ++0 ++"), ("team", {"team_ids": "red"}, "+++ 0++0 000 00"),
        ("organization", {}, EVERYBODY), ("organization", {"organization_ids": "one"}, "+++ +--- --- --"),
        ("customer", {}, READ), ("end_user", {}, READ), ("agent", {}, READ), ("tag", {}, "+++ +++- ++- ++")]),
    *((f"GET /user/daily/activity/aggregated/{below}", {**DAYS, **of}, expected) for below in ("users", "cache_leakage_keys")
      for of, expected in [({}, HAS_USER), ({"user_id": "bob"}, "+++ --+- --- --")]),
    *((f"GET /tag/{name}", DAYS, READ) for name in ("dau", "wau", "mau", "distinct", "summary", "user-agent/per-user-analytics")),
    ("GET /spend/export/focus", DAYS, READ), ("GET /provider/budgets", {}, "000 ---- --- --"),
]  # fmt: skip

# Routes that are not built yet: who would be let in, and hears 501.
GATES = {
    "PUBLIC": EVERYBODY, "ANY": EVERYBODY, "ADMIN": ADMIN, "ADMIN_READ": READ, "ADMIN_ORG": "++- +--- --- +-",
    "ADMIN_ORG_READ": ORG_LIST, "KEYS": "++- +++- +-- ++", "SELF_MANAGED": "+++ +++- ++- ++", "SPEND": "+++ +++- ++- ++",
    "MASTER": "+-- ---- --- --",
}  # fmt: skip
# Without a key, none of them may be reached but these.
PUBLIC = re.compile(r"/(|health/(liveliness|liveness|readiness|drain)|openapi\.json|routes|robots\.txt|config/yaml|public/[^{]*"
                    r"|login|v[23]/login|fallback/login|sso/(key/generate|callback|cli/poll/{key_id}|debug/(login|callback))"
                    r"|onboarding/(get|claim)_token|get_logo_url|get_image|get/ui_(theme_)?settings"
                    r"|(litellm/)?\.well-known/litellm-ui-config|claude-code/marketplace\.json)")  # fmt: skip

IDS = {"req": "rek", "talk": "tolk", "red": "rod", "one": "ono", "bob": "bub", "owen": "owan", "pro": "pru", "dep": "dop", "req-1": "req-0",
       "crimson personal": "crimson nothing",
       K: hashlib.sha256(b"k").hexdigest(), P: hashlib.sha256(b"p").hexdigest()}  # fmt: skip


class World:
    def __init__(self, cp, postgres):
        self.cp, self.tenants = cp, Tenants(cp, postgres)
        self.tenants._sql(f"""
            INSERT INTO "LiteLLM_UserTable" (user_id, user_role) VALUES ('zed', 'internal_user'), ('owen', 'internal_user');
            INSERT INTO "LiteLLM_OrganizationMembership" (user_id, organization_id, user_role)
            VALUES ('zed', 'two', 'org_admin'), ('owen', 'one', 'internal_user');
            UPDATE "LiteLLM_OrganizationTable" SET organization_alias = 'crimson', metadata = '{{"of": "crimson"}}'
            WHERE organization_id = 'one';
            UPDATE "LiteLLM_TeamTable" SET team_alias = 'crimson', metadata = '{{"of": "crimson"}}', models = '{{crimson-m,m}}'
            WHERE team_id = 'red';
            UPDATE "LiteLLM_UserTable" SET user_alias = 'crimson', user_email = user_id || '@crimson.example'
            WHERE user_id IN ('ann', 'bob', 'olga', 'owen');
            INSERT INTO "LiteLLM_VerificationToken" (token, user_id, team_id, key_alias, spend, metadata)
            VALUES ('{K}', 'bob', 'red', 'crimson team', 2, '{{"of": "crimson"}}'),
                   ('{P}', 'bob', NULL, 'crimson personal', 2, '{{"of": "crimson"}}');
            INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, "user", team_id, model, "startTime", "endTime")
            VALUES ('req-1', 'acompletion', '{K}', 'bob', 'red', 'crimson', now(), now())""")
        postgres.sql(cp.database, f"""INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, "startTime", "endTime", "user",
            team_id, session_id, end_user, model, request_tags, response)
            VALUES ('req', 'x', '{K}', '2026-01-05', '2026-01-05', 'bob', 'red', 'talk', 'crimson', 'crimson', '["crimson"]', '{{"of": "crimson"}}')""")
        self.keys = self.tenants.keys
        self.keys["zed"] = self.tenants.make_key(user_id="zed")
        self.keys["svc"] = self.tenants.make_key(team_id="red", key_alias="crimson svc")
        self.bad = [("none", None, 401), ("unknown", "sk-unknown-key-0123", 401),
                    ("blocked", self.tenants.make_key(user_id="root", blocked="true"), 401),
                    ("expired", self.tenants.make_key(user_id="root", expires="2020-01-01"), 400)]  # fmt: skip
        params = {"model": "openai/crimson", "api_key": "sk-crimson-provider"}
        for path, body in [
            ("/project/new", {"project_id": "pro", "team_id": "red", "project_alias": "crimson", "models": ["m"]}),
            ("/model/new", {"model_name": "crimson-m", "litellm_params": params, "model_info": {"id": "dep", "team_id": "red"}}),
            ("/model/new", {"model_name": "common", "litellm_params": {"model": "openai/c"},
                            "model_info": {"id": "common", "access_groups": ["ag"]}}),
            ("/customer/new", {"user_id": "cus", "alias": "crimson"}), ("/tag/new", {"name": "tag", "description": "crimson"}),
            ("/budget/new", {"budget_id": "bud", "max_budget": 3}),
            ("/credentials", {"credential_name": "cred", "credential_info": {"of": "crimson"}, "credential_values": {"api_key": "k"}}),
            ("/v1/access_group", {"access_group_name": "crimson", "assigned_team_ids": ["red"]}),
            ("/config/field/update", {"field_name": "completion_model", "field_value": "m", "config_type": "general_settings"}),
        ]:  # fmt: skip
            reply = cp.post(path, body)
            assert reply.status in (200, 201), (path, reply.body)
        self.ids = {"grp": cp.get("/v1/access_group").json[0]["access_group_id"], "aud": cp.get("/audit").json["audit_logs"][0]["id"]}
        self.kept = Kept(cp.database)

    def ask(self, route, request, who):
        """Asks as a caller by name, or with a key."""
        method, path = route.split()
        request = {k: self.ids.get(v, v) if isinstance(v, str) else v for k, v in request.items()}
        names = re.findall(r"{(\w+)(?::path)?}", path)
        for name in names:
            path = re.sub(r"{%s(:path)?}" % name, quote(request.get(name, "x"), safe=""), path)
        rest = {k: v for k, v in request.items() if k not in names}
        if method == "GET":
            return self.cp.get(path + ("?" + urlencode(rest) if rest else ""), key=self.keys.get(who, who))
        return self.cp.call(method, path, rest, key=self.keys.get(who, who))


@pytest.fixture(scope="module")
def world(postgres, empty_schema):
    config = {"general_settings": {"store_model_in_db": True}}
    with ControlPlane(postgres.database(template=empty_schema), config) as cp:
        world = World(cp, postgres)
        yield world
        world.kept.close()


def columns(expected):
    marks = expected.replace(" ", "")
    assert len(marks) == len(CALLERS)
    return dict(zip(CALLERS, marks, strict=True))


def test_every_row_has_an_expectation():
    asked = {route for route, _, _ in EXPECTED}
    assert set(BUILT) - asked == set(), "rows without an expectation"
    assert asked - set(BUILT) == set(), "expectations without a row"
    assert set(NOT_BUILT.values()) <= set(GATES)


@pytest.mark.parametrize(("route", "request_", "expected"), EXPECTED, ids=lambda v: v if isinstance(v, str) and " /" in v else "")
def test_matrix(world, route, request_, expected):
    marks, got, wrong = columns(expected), {}, []
    world.kept.restore()
    for who in sorted(CALLERS, key=lambda c: marks[c] == "+"):  # those who are refused first
        if marks[who] == "+" and not route.startswith("GET"):
            world.kept.restore()
        reply = got[who] = world.ask(route, request_, who)
        if reply.status not in OUTCOME[marks[who]]:
            wrong.append((who, marks[who], reply.status, reply.body[:200]))
        if reply.status >= 300 and (moved := world.kept.changed()):
            wrong.append((who, "changed although refused", moved))
            world.kept.restore()
        if who in OUTSIDE and b"crimson" in reply.body.replace(b"crimson personal", b""):  # named in the request
            wrong.append((who, "reads another tenant's", reply.body[:300]))
    assert not wrong


def renamed(value):
    if isinstance(value, dict):
        return {k: renamed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [renamed(v) for v in value]
    return IDS.get(value, value) if isinstance(value, str) else value


FOREIGN = [(route, body) for route, body, _ in EXPECTED if renamed(body) != body]


@pytest.mark.parametrize(("route", "request_"), FOREIGN, ids=lambda v: v if isinstance(v, str) else "")
def test_what_is_anothers_looks_like_what_is_not_there(world, route, request_):
    world.kept.restore()
    for who in OUTSIDE:
        theirs, none = world.ask(route, request_, who), world.ask(route, renamed(request_), who)
        names = "|".join(map(re.escape, sorted(IDS, key=len, reverse=True)))  # req-1 before req
        text = re.sub(rf"\b({names})\b", lambda m: IDS[m[0]], theirs.body.decode())
        assert (theirs.status, text) == (none.status, none.body.decode()), who


@pytest.mark.parametrize("route", BUILT)
def test_no_row_is_reached_without_a_good_key(world, route):
    request, marks = next((body, columns(e)) for r, body, e in EXPECTED if r == route)
    is_public = PUBLIC.fullmatch(route.split()[1]) is not None
    assert is_public == (BUILT[route] == "PUBLIC")
    world.kept.restore()
    for name, key, status in world.bad:
        reply = world.ask(route, request, key)
        assert reply.status in (OUTCOME[marks["nobody"]] if is_public else (status,)), (name, reply.body)
        assert is_public or b"crimson" not in reply.body
    assert world.kept.changed() == []


def test_rows_that_are_not_built(world):
    world.kept.restore()
    for route, policy in NOT_BUILT.items():
        for who, mark in columns(GATES[policy]).items():
            reply = world.ask(route, {}, who)
            assert reply.status in ((501,) if mark == "+" else (401, 403)), (route, who, reply.body)
        is_public = PUBLIC.fullmatch(route.split()[1]) is not None
        assert world.ask(route, {}, None).status == (501 if is_public else 401), route
    assert world.kept.changed() == []


# --- nobody grants more than they hold

# who, whose key has which columns, route, body; {K}: the caller's own key, beside it N: one that is narrow
GRANTS = [
    ("ivy", {"max_budget": 2}, "POST /key/generate", {"max_budget": 3}, 400),
    ("ivy", {"max_budget": 2}, "POST /key/generate", {"budget_limits": [{"budget_duration": "1d", "max_budget": 3}]}, 400),
    ("ivy", {}, "POST /key/generate", {"allowed_routes": ["/key/*"]}, 403),
    ("ivy", {}, "POST /key/generate", {"key_type": "management"}, 403),
    ("ivy", {}, "POST /key/generate", {"project_id": "pro"}, 404),
    ("ann", {}, "POST /key/generate", {"project_id": "pro"}, 404),  # of the team, the key is not
    ("ann", {}, "POST /key/generate", {"team_id": "red", "project_id": "pro", "models": ["crimson-m"]}, 400),
    ("ann", {}, "POST /key/generate", {"team_id": "red", "models": ["other"]}, 403),
    ("ann", {}, "POST /key/generate", {"team_id": "red", "project_id": "pro", "models": ["m"]}, 200),
    ("ivy", {}, "POST /key/generate", {"organization_id": "one"}, 400),
    ("ivy", {}, "POST /key/generate", {"permissions": {"get_spend_routes": True}}, 403),
    ("ivy", {}, "POST /key/generate", {"user_id": "root"}, 403),
    ("ivy", {}, "POST /key/generate", {"spend": -9}, 403),
    ("ivy", {"allowed_routes": "{/key/info,/key/update}"}, "POST /key/update", {"key": "self", "allowed_routes": []}, 403),
    ("ivy", {"allowed_routes": "{/key/info,/key/update}"}, "POST /key/update", {"key": "self", "allowed_routes": None}, 403),
    ("ivy", {"allowed_routes": "{/key/info,/key/update}"}, "POST /key/update",
     {"key": "self", "allowed_routes": ["/key/info", "/key/update"]}, 200),
    ("ivy", {"allowed_routes": "{/key/regenerate}"}, "POST /key/regenerate", {"key": "self", "key_type": "llm_api"}, 403),
    ("ivy", {"blocked": "true"}, "POST /key/update", {"key": "other", "blocked": False}, 403),
    ("ivy", {"blocked": "true"}, "POST /key/regenerate", {"key": "other", "blocked": False}, 403),
    ("ivy", {}, "POST /key/update", {"key": "other", "project_id": "pro"}, 403),
    ("ivy", {}, "POST /key/regenerate", {"key": "other", "project_id": "pro"}, 403),
    ("ivy", {}, "POST /key/update", {"key": "other", "user_id": "root"}, 403),
    ("ivy", {}, "POST /key/update", {"key": "other", "user_id": None}, 403),
    ("ivy", {}, "POST /key/regenerate", {"key": "other", "user_id": "root"}, 403),
    ("ivy", {}, "POST /key/update", {"key": "other", "max_budget": 99}, 403),
    ("ivy", {}, "POST /key/regenerate", {"key": "other", "max_budget": 99}, 403),
    ("ivy", {}, "POST /key/update", {"key": "other", "spend": 0}, 403),
    ("ivy", {}, "POST /key/update", {"key": "other", "metadata": {"temp_budget_increase": 9}}, 403),
    ("ivy", {}, "POST /key/update", {"key": "other", "team_id": "red"}, 403),
    ("ann", {"team_id": "red"}, "POST /key/update", {"key": "other", "team_id": None}, 403),
    ("ann", {"team_id": "red"}, "POST /key/update", {"key": "other", "team_id": ""}, 403),
    ("ann", {"team_id": "red"}, "POST /key/regenerate", {"key": "other", "team_id": None}, 403),
    ("ann", {"team_id": "red"}, "POST /key/update", {"key": "other", "models": ["beyond"]}, 403),
    ("ivy", {}, "POST /user/update", {"user_id": "ivy", "user_role": "proxy_admin"}, 403),
    ("ivy", {}, "POST /user/update", {"user_id": "ivy", "max_budget": 9}, 403),
    ("ivy", {}, "POST /user/update", {"user_id": "ivy", "models": []}, 403),
    ("olga", {}, "POST /user/new", {"organizations": ["one"], "user_role": "proxy_admin"}, 403),
    ("olga", {}, "POST /user/new", {"organizations": ["one"], "user_role": "proxy_admin_viewer"}, 403),
    ("olga", {}, "POST /user/new", {"organizations": ["one", "two"]}, 404),
    ("olga", {}, "POST /user/update", {"user_id": "owen", "user_role": "proxy_admin"}, 403),
    ("olga", {}, "POST /team/update", {"team_id": "red", "organization_id": ""}, 403),
    ("olga", {}, "PATCH /organization/update", {"organization_id": "one", "spend": 0}, 403),
    ("olga", {}, "PATCH /organization/update", {"organization_id": "one", "budget_id": "bud"}, 403),
    ("olga", {}, "PATCH /organization/update", {"organization_id": "one", "max_budget": 1e9}, 403),
    ("olga", {}, "POST /organization/member_add",
     {"organization_id": "one", "member": {"user_id": "new", "role": "proxy_admin"}}, 422),
    ("ann", {"team_id": "red"}, "POST /team/key/bulk_update",
     {"team_id": "red", "key_ids": ["sk-grants-other-0123456"], "update_fields": {"temp_budget_increase": 9, "temp_budget_expiry": "2031-01-01"}}, 403),
    ("ann", {}, "POST /team/update", {"team_id": "red", "max_budget": 9}, 401),
    ("ann", {}, "POST /team/bulk_member_add", {"team_id": "red", "all_users": True}, 403),
    ("ann", {}, "POST /team/permissions_update", {"team_id": "red", "team_member_permissions": ["/user/new"]}, 422),
    ("ann", {}, "POST /model/new", {**MODEL, "model_info": {"team_id": "blue"}}, 400),
    ("ann", {}, "PATCH /model/{model_id}/update", {"model_id": "dep", "model_info": {"team_id": "blue"}}, 400),
]  # fmt: skip


@pytest.mark.parametrize(("who", "own", "route", "body", "status"), GRANTS)
def test_nobody_grants_more_than_they_hold(world, postgres, who, own, route, body, status):
    world.kept.restore()
    names = {"self": "sk-grants-self-0123456", "other": "sk-grants-other-0123456"}
    rows = {"self": {k: v for k, v in own.items() if k in ("max_budget", "allowed_routes", "team_id")}, "other": own}
    for name, key in names.items():
        row = {"token": sha256(key), "user_id": who, "created_by": who, **rows[name]}
        world.tenants._sql(f"""INSERT INTO "LiteLLM_VerificationToken" ({", ".join(row)})
                               VALUES ({", ".join(["%s"] * len(row))})""", *row.values())  # fmt: skip
    was = world.kept.mark()
    body = {k: names.get(v, v) if isinstance(v, str) else v for k, v in body.items()}
    reply = world.ask(route, body, names["self"])
    assert reply.status == status, reply.body
    assert status == 200 or world.kept.changed(was) == []
