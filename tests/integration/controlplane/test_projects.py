"""/project: every route's happy, forbidden, invalid and not-found cases."""

import pytest


def error(reply):
    return reply.json["error"]


def make(cp, **body):
    reply = cp.post("/project/new", {"team_id": "red", **body})
    assert reply.status == 200, reply.body
    return reply.json


def delete(cp, *ids, **kw):
    return cp.call("DELETE", "/project/delete", {"project_ids": list(ids)}, **kw)


@pytest.fixture(scope="module", autouse=True)
def narrow(tenants):
    """A team with limits."""
    tenants.team("narrow", "one", models="{m,n*}", max_budget=10, tpm_limit=100, rpm_limit=5)


def test_project_has_what_was_asked_for(cp, tenants):
    made = make(cp, project_id="first", project_alias="a", description="d", models=["m"], metadata={"x": 1}, tags=["t"],
                model_rpm_limit={"m": 2}, max_budget=5, budget_duration="1d", object_permission={"agents": ["a"]})  # fmt: skip
    assert (made["project_id"], made["project_alias"], made["description"], made["team_id"], made["models"]) == ("first", "a", "d", "red", ["m"])
    assert made["metadata"] == {"x": 1, "tags": ["t"], "model_rpm_limit": {"m": 2}}
    assert (made["blocked"], made["spend"], made["created_by"], made["object_permission"]["agents"]) == (False, 0, "default_user_id", ["a"])
    budget = made["litellm_budget_table"]
    assert (budget["budget_id"], budget["max_budget"]) == (made["budget_id"], 5) and budget["budget_reset_at"].endswith("T00:00:00Z")
    assert cp.get("/project/info?project_id=first").json == made
    assert [a for a, *_ in tenants.audits("first")] == ["created"]
    reply = cp.post("/project/new", {"team_id": "red", "project_id": "first"})
    assert reply.status == 400
    assert error(reply) == {"message": "Project id = first already exists. Please use a different project id.", "type": "bad_request",
                            "param": "project_id", "code": "400"}  # fmt: skip


def test_project_without_id_gets_one_and_a_budget(cp):
    made = make(cp)
    assert len(made["project_id"]) == 36 and made["litellm_budget_table"]["max_budget"] is None and made["models"] == []
    assert make(cp, budget_id="b")["budget_id"] == "b"


LIMITS = [
    ({"max_budget": -1}, "{'error': 'max_budget cannot be negative. Received: -1.0'}"),
    ({"soft_budget": -1}, "{'error': 'soft_budget cannot be negative. Received: -1.0'}"),
    ({"soft_budget": 5, "max_budget": 5}, "{'error': 'soft_budget (5.0) must be strictly lower than max_budget (5.0)'}"),
    ({"models": ["m", "x"]}, "Model 'x' not in team's allowed models. Team allowed models=['m', 'n*']. Team: narrow"),
    ({"max_budget": 11}, '{\'error\': "Project max_budget (11.0) exceeds team\'s max_budget (10.0). Team: narrow"}'),
    ({"tpm_limit": 101}, '{\'error\': "Project tpm_limit (101) exceeds team\'s tpm_limit (100). Team: narrow"}'),
    ({"rpm_limit": 6}, '{\'error\': "Project rpm_limit (6) exceeds team\'s rpm_limit (5). Team: narrow"}'),
    ({"budget_duration": "x"}, "Invalid budget_duration 'x'."),
]


@pytest.mark.parametrize(("body", "text"), LIMITS)
def test_project_fits_its_team(cp, body, text):
    reply = cp.post("/project/new", {"team_id": "narrow", **body})
    assert reply.status == 400 and text in error(reply)["message"]
    made = make(cp, team_id="narrow", models=["m", "nn"], max_budget=10)
    reply = cp.post("/project/update", {"project_id": made["project_id"], **body})
    assert reply.status == 400 and text in error(reply)["message"]
    assert cp.get(f"/project/info?project_id={made['project_id']}").json == made


def test_types_that_do_not_fit_are_422(cp):
    assert cp.post("/project/new", {}).json["detail"][0]["loc"] == ["body", "team_id"]
    assert cp.post("/project/new", {"team_id": "red", "tags": "t"}).json["detail"][0]["type"] == "list_type"
    assert cp.post("/project/update", {}).status == delete_status(cp, {}) == cp.get("/project/info").status == 422


def delete_status(cp, body):
    return cp.call("DELETE", "/project/delete", body).status


def test_update_changes_what_stands_in_the_body(cp, tenants):
    made = make(cp, models=["m"], metadata={"a": 1}, tags=["t"], max_budget=5)
    id_ = made["project_id"]
    now = cp.post("/project/update", {"project_id": id_, "blocked": True, "model_tpm_limit": {"m": 1}, "rpm_limit": 2}).json
    assert (now["blocked"], now["models"], now["metadata"]) == (True, ["m"], {"a": 1, "tags": ["t"], "model_tpm_limit": {"m": 1}})
    budget = now["litellm_budget_table"]
    assert (budget["budget_id"], budget["max_budget"], budget["rpm_limit"]) == (made["budget_id"], 5, 2)
    now = cp.post("/project/update", {"project_id": id_, "metadata": {"b": 2}, "max_budget": None, "object_permission": {"models": ["m"]}}).json
    assert (now["metadata"], now["litellm_budget_table"]["max_budget"], now["object_permission"]["models"]) == ({"b": 2}, None, ["m"])
    assert [a for a, *_ in tenants.audits(id_)] == ["created", "updated", "updated"]
    assert [a for a, *_ in tenants.audits(made["budget_id"])] == ["created", "updated", "updated"]


def test_project_with_keys_stays_with_its_team(cp, tenants):
    id_ = make(cp)["project_id"]
    assert cp.post("/project/update", {"project_id": id_, "team_id": "blue"}).json["team_id"] == "blue"
    tenants.make_key(project_id=id_, team_id="blue")
    reply = cp.post("/project/update", {"project_id": id_, "team_id": "red"})
    assert (reply.status, error(reply)["param"]) == (400, "team_id")
    assert error(reply)["message"] == (f"Project {id_} has 1 key(s) that do not belong to team red. "
                                       "Detach or delete them before moving the project.")  # fmt: skip
    reply = delete(cp, id_)
    assert (reply.status, error(reply)["message"]) == (400, f"Cannot delete project {id_}. 1 key(s) are associated with it. "
                                                            "Please delete or reassign the keys first.")  # fmt: skip


def test_delete_is_all_or_nothing(cp, tenants):
    one, two = make(cp)["project_id"], make(cp)["project_id"]
    reply = delete(cp, one, "none")
    assert (reply.status, error(reply)["param"]) == (404, "project_ids")
    assert [p["project_id"] for p in delete(cp, one, two).json] == [one, two]
    assert [a for a, *_ in tenants.audits(one)] == ["created", "deleted"]
    assert delete(cp).status == delete(cp, *["x"] * 501).status == 400


@pytest.mark.parametrize(
    ("ask", "param", "text"),
    [
        (lambda cp: cp.post("/project/new", {"team_id": "none"}), "team_id", "Team not found, team_id=none"),
        (lambda cp: cp.post("/project/update", {"project_id": "none"}), "project_id", "Project not found, project_id=none"),
        (lambda cp: cp.post("/project/update", {"project_id": make(cp)["project_id"], "team_id": "none"}), "team_id", "Team not found, team_id=none"),
        (lambda cp: delete(cp, "none"), "project_ids", "Project not found, project_id=none"),
        (lambda cp: cp.get("/project/info?project_id=none"), "project_id", "Project not found, project_id=none"),
    ],
)
def test_what_is_not_there(cp, ask, param, text):
    reply = ask(cp)
    assert (reply.status, error(reply)["type"], error(reply)["param"], error(reply)["message"]) == (404, "not_found", param, text)


# caller: info of red's, of blue's; new update delete
MATRIX = """
    root    200 200 200 200 200
    vera    200 200 403 403 403
    ivy     404 404 401 401 401
    ines    404 404 401 401 401
    ann     200 404 401 401 401
    bob     200 404 401 401 401
    olga    200 404 401 401 401
    zoe     404 200 401 401 401
    nobody  404 404 401 401 401
"""


@pytest.mark.parametrize("line", MATRIX.strip().splitlines())
def test_who_may(cp, tenants, line):
    who, red, blue, new, update, gone = line.split()
    key = tenants.keys[who]
    ids = {team: make(cp, team_id=team)["project_id"] for team in ("red", "blue")}
    seen = {p["project_id"] for p in cp.get("/project/list", key=key).json}
    for team, status in (("red", red), ("blue", blue)):
        assert cp.get(f"/project/info?project_id={ids[team]}", key=key).status == int(status)
        assert (ids[team] in seen) == (status == "200")
    assert cp.post("/project/new", {"team_id": "red"}, key=key).status == int(new)
    assert cp.post("/project/update", {"project_id": ids["red"], "description": "x"}, key=key).status == int(update)
    assert delete(cp, ids["red"], key=key).status == int(gone)


def test_list_is_paged(cp):
    all_ = [p["project_id"] for p in cp.get("/project/list").json]
    half = len(all_) // 2
    pages = [p["project_id"] for n in (1, 2, 3) for p in cp.get(f"/project/list?page={n}&page_size={half}").json]
    assert pages == all_ == sorted(all_)
    assert cp.get("/project/list?page_size=1001").status == 422
