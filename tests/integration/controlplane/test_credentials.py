"""/credentials: sealed at rest, masked when shown, an admin's alone."""

import pytest

VALUES = {"api_key": "sk-provider-secret", "api_base": "https://api.example.com", "aws_secret_access_key": "wJalrXUtnFEMI", "n": 3}
MASKED = {"api_key": "sk****et", "api_base": "https://api.example.com", "aws_secret_access_key": "wJ****MI", "n": 3}


def error(reply):
    return reply.json["error"]


@pytest.fixture(scope="module")
def cp(postgres, empty_schema):
    from support.controlplane import ControlPlane

    config = {"credential_list": [{"credential_name": "of-file", "credential_values": {"api_key": "os.environ/FILE_KEY"},
                                   "credential_info": {"custom_llm_provider": "openai"}}],
              "model_list": [{"model_name": "m", "litellm_params": {"model": "openai/m", "api_key": "sk-of-the-model", "rpm": 5},
                              "model_info": {"id": "of-file"}}]}  # fmt: skip
    with ControlPlane(postgres.database(template=empty_schema), config, env={"FILE_KEY": "sk-from-environment"}) as cp:
        yield cp


def make(cp, name, **body):
    return cp.post("/credentials", {"credential_name": name, "credential_info": {}, "credential_values": VALUES, **body})


def stored(cp, postgres, name):
    rows = postgres.sql(cp.database, 'SELECT credential_values FROM "LiteLLM_CredentialsTable" WHERE credential_name = %s', name)
    return rows[0][0] if rows else None


def test_values_are_sealed_and_shown_masked(cp, postgres, tenants):
    assert make(cp, "a/b c", credential_info={"x": 1}).json == {"success": True, "message": "Credential created successfully"}
    row = stored(cp, postgres, "a/b c")
    assert "sk-provider-secret" not in row and "https" not in row and '"n": 3' in row
    reply = cp.get("/credentials/by_name/a%2Fb%20c")
    assert reply.json == {"credential_name": "a/b c", "display_name": None, "credential_info": {"x": 1},
                          "credential_values": MASKED, "source": "db"}  # fmt: skip
    listed = cp.get("/credentials").json
    assert listed["success"] is True and reply.json in listed["credentials"]
    (audit,) = tenants.audits(postgres.sql(cp.database, 'SELECT credential_id FROM "LiteLLM_CredentialsTable" '
                                                        "WHERE credential_name = 'a/b c'")[0][0])  # fmt: skip
    assert audit[0] == "created" and audit[3]["credential_values"] == "********"


def test_credential_of_the_file(cp):
    assert cp.get("/credentials/by_name/of-file").json["credential_values"] == {"api_key": "sk****nt"}
    assert any(c["source"] == "config" for c in cp.get("/credentials").json["credentials"])
    reply = make(cp, "of-file")
    assert reply.status == 409
    assert error(reply) == {"message": "Credential 'of-file' is defined in config. Edit config.yaml to change it.",
                            "type": "validation_error", "param": "credential_name", "code": "409"}  # fmt: skip
    for method in ("PATCH", "DELETE"):
        reply = cp.call(method, "/credentials/of-file", {"credential_info": {}})
        assert reply.status == 405 and reply.header("allow") == "GET"
        assert error(reply)["message"] == "Credential 'of-file' is defined in config and cannot be edited from the API or UI."


def test_of_a_model(cp):
    assert cp.get("/credentials/by_model/of-file").json == {
        "credential_name": "m-credential-of-file", "display_name": None, "credential_info": {},
        "credential_values": {"api_key": "sk****el"}}  # fmt: skip
    assert make(cp, "from model", credential_values=None, model_id="of-file").status == 200
    assert cp.get("/credentials/by_name/from%20model").json["credential_values"] == {"api_key": "sk****el"}
    for reply in (cp.get("/credentials/by_model/none"), make(cp, "x", model_id="none")):
        assert (reply.status, error(reply)["message"]) == (404, "Model not found")


def test_update_merges(cp, postgres, tenants):
    make(cp, "merged", credential_info={"a": 1})
    before = stored(cp, postgres, "merged")
    reply = cp.call("PATCH", "/credentials/merged", {
        "credential_info": {"b": 2}, "display_name": " Shown ", "credential_values_to_delete": ["n"],
        "credential_values": {"api_base": "https://other", "api_key": "sk****et", "aws_region_name": "eu"}})  # fmt: skip
    assert reply.json == {"success": True, "message": "Credential updated successfully"}
    got = cp.get("/credentials/by_name/merged").json
    assert got["credential_info"] == {"a": 1, "b": 2} and got["display_name"] == "Shown"
    assert got["credential_values"] == {"api_key": "sk****et", "api_base": "https://other", "aws_region_name": "eu",
                                        "aws_secret_access_key": "wJ****MI"}  # fmt: skip
    assert before.split('"api_key": "')[1].split('"')[0] in stored(cp, postgres, "merged")  # a masked one came back


def test_delete(cp, postgres):
    make(cp, "to go")
    assert cp.call("DELETE", "/credentials/to%20go").json == {"success": True, "message": "Credential deleted successfully"}
    assert stored(cp, postgres, "to go") is None
    reply = cp.call("DELETE", "/credentials/to%20go")
    assert (reply.status, error(reply)["message"]) == (404, "Credential not found. Got credential name: to go")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "text"),
    [
        ("GET", "/credentials/by_name/none", None, 404, "Credential not found. Got credential name: none"),
        ("PATCH", "/credentials/none", {"credential_info": {}}, 404, "Credential not found in DB."),
        ("POST", "/credentials", {"credential_name": "x", "credential_info": {}}, 400, "Credential values are required."),
        ("POST", "/credentials", {"credential_name": "x", "credential_info": {}, "credential_values": {}}, 400, "required"),
        ("POST", "/credentials", {"credential_name": "x", "credential_info": {}, "credential_values": {"a": "b"}, "display_name": " "},
         400, "display_name cannot be blank."),
        ("POST", "/credentials", {"credential_name": "x", "credential_info": {}, "credential_values": {"a": "b"},
                                  "display_name": "n" * 256}, 400, "display_name cannot be longer than 255 characters."),
        ("PATCH", "/credentials/kept", {"credential_info": {}, "credential_name": "other"}, 400, "credential_name is immutable."),
        ("PATCH", "/credentials/kept", {"credential_info": {}, "credential_values": {"a": "b"}, "credential_values_to_delete": ["a"]},
         400, "credential_values_to_delete overlaps credential_values for key(s): ['a']"),
        ("POST", "/credentials", {"credential_name": "kept", "credential_info": {}, "credential_values": {"a": "b"}}, 409,
         "Credential 'kept' already exists. Update it with PATCH /credentials/kept, or delete it first."),
    ],
)  # fmt: skip
def test_refusals(cp, method, path, body, status, text):
    make(cp, "kept")
    reply = cp.call(method, path, body)
    assert reply.status == status and text in error(reply)["message"]


@pytest.mark.parametrize("body", [{}, {"credential_name": "x"}, {"credential_name": 1, "credential_info": {}},
                                  {"credential_name": "x", "credential_info": []}])  # fmt: skip
def test_types_that_do_not_fit(cp, body):
    assert cp.post("/credentials", body).status == 422


@pytest.mark.parametrize("who", ["vera", "ivy", "ines", "ann", "bob", "olga", "nobody"])
@pytest.mark.parametrize(("method", "path"), [("GET", "/credentials"), ("POST", "/credentials"), ("DELETE", "/credentials/kept"),
                                              ("PATCH", "/credentials/kept"), ("GET", "/credentials/by_name/kept"),
                                              ("GET", "/credentials/by_model/of-file")])  # fmt: skip
def test_nobody_but_an_admin(cp, tenants, who, method, path):
    make(cp, "kept")
    body = {"credential_name": "y", "credential_info": {}, "credential_values": {"a": "b"}} if method in ("POST", "PATCH") else None
    reply = cp.call(method, path, body, key=tenants.keys[who])
    assert reply.status in (401, 403) and "credential_values" not in reply.json
    assert cp.get("/credentials/by_name/kept").status == 200


def test_another_key_opens_nothing(cp, start, postgres):
    make(cp, "sealed")
    other = start(cp.database, env={"LITELLM_SALT_KEY": "another"})
    assert other.get("/credentials/by_name/sealed").json["credential_values"]["api_key"] != MASKED["api_key"]
