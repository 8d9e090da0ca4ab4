"""Responses belong to who made them: the seal in their ids (dataplane/policy/owner.c)."""

import base64
import json

import pytest

from support import http
from support.mock_provider import chunk, head, json_reply
from support.policy import error, gateway, get, key, plane, post, shared, team, told, user  # noqa: F401: fixtures among them
from support.weir import MASTER_KEY

OWNERS = [key("sk-u1", user="u1"), key("sk-u1-too", user="u1"), key("sk-u1t1", user="u1", team="t1"), key("sk-u1t2", user="u1", team="t2"),
          key("sk-u2t1", user="u2", team="t1"), key("sk-t1", team="t1"), key("sk-t1-too", team="t1"), key("sk-u2", user="u2"),
          key("sk-none-1"), key("sk-none-2"), key("sk-named", team="u1"), key("sk-root", user="root"),
          user("u1"), user("u2"), user("root", role="proxy_admin"), team("t1"), team("t2"), team("u1")]  # fmt: skip

# whoever made it: who else may have it
MAY = {
    "sk-u1": {"sk-u1-too", "sk-u1t1", "sk-u1t2"},  # a user's own, whatever team the key is for
    "sk-u1t1": set(),  # of this user in this team
    "sk-t1": {"sk-t1-too", "sk-u1t1", "sk-u2t1"},  # the team's own
    "sk-none-1": set(),
    "sk-named": set(),  # a team with the id of a user is not the user
    MASTER_KEY: set(),
}  # fmt: skip
EVERYBODY = ["sk-u1", "sk-u1-too", "sk-u1t1", "sk-u1t2", "sk-u2t1", "sk-t1", "sk-t1-too", "sk-u2", "sk-none-1", "sk-none-2", "sk-named"]


def responses(w, key_text, model, **more):
    return post(w, key_text, {"messages": None}, path="/v1/responses", model=model, input="hello", **more)


def made(mock, upstream):
    return json_reply({"id": upstream, "object": "response", "model": "gpt-up", "status": "completed", "output": [],
                       "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})  # fmt: skip


@pytest.mark.parametrize("maker", MAY)
def test_a_response_of_the_provider_is_its_owner_s(told, mock, maker):
    w = told(*OWNERS)
    mock.on("gpt-up", made(mock, "resp_up1"))
    for method in ("GET", "DELETE"):
        mock.on(f"{method} /responses/resp_up1", made(mock, "resp_up1"))
    ident = json.loads(responses(w, maker, "gpt").body)["id"]
    path = f"/v1/responses/{ident}"
    for who in EVERYBODY:
        before = len(mock.requests)
        mine = who == maker or who in MAY[maker]
        for method, where in (("GET", path), ("GET", path + "/input_items"), ("POST", path + "/cancel"), ("DELETE", path)):
            reply = http.call(w.port, method, where, who)
            assert (reply.status != 403) == mine, (who, method, where, reply.body)
            if mine and where == path and reply.status == 200:
                assert json.loads(reply.body)["id"] == ident
            if not mine:
                assert error(reply)[3].startswith("Forbidden. The response id is not associated with")
        assert responses(w, who, "gpt", previous_response_id=ident).status == (200 if mine else 403), who
        assert (len(mock.requests) > before) == mine, who
    sent = json.loads(mock.requests[-1].body) if mock.requests[-1].method == "POST" else {}
    assert sent.get("previous_response_id", "resp_up1") == "resp_up1"
    for admin in (MASTER_KEY, "sk-root"):  # as LiteLLM: proxy admins may have all
        reply = get(w, admin, path)
        assert (reply.status, json.loads(reply.body)["id"]) == (200, ident)


@pytest.mark.parametrize("maker", MAY)
def test_a_kept_response_is_its_owner_s(told, maker):
    w = told(*OWNERS)
    reply = responses(w, maker, "open")
    assert reply.status == 200, reply.body
    ident = json.loads(reply.body)["id"]
    path = f"/v1/responses/{ident}"
    for who in EVERYBODY:
        mine = who == maker or who in MAY[maker]
        assert get(w, who, path).status == (200 if mine else 403), who
        assert responses(w, who, "open", previous_response_id=ident).status == (200 if mine else 403), who
        if not mine:
            assert http.call(w.port, "DELETE", path, who).status == 403
    for admin in {MASTER_KEY, "sk-root"} - {maker}:  # not even to an administrator does it exist
        assert get(w, admin, path).status == 404
        assert http.call(w.port, "DELETE", path, admin).status == 404
    assert http.call(w.port, "DELETE", path, maker).status == 200
    assert get(w, maker, path).status == 404


def test_a_response_id_says_whose_it_is_to_every_gateway(told, mock, plane, start):
    """Nobody remembers it: another pod with the same secret reads it, one with another secret does not."""
    w = told(*OWNERS)
    mock.on("gpt-up", made(mock, "resp_up1"))
    mock.on("GET /responses/resp_up1", made(mock, "resp_up1"))
    ident = json.loads(responses(w, "sk-u1", "gpt").body)["id"]
    for env, mine in (({}, 200), ({"LITELLM_SALT_KEY": "another"}, 403)):
        other = gateway(start, mock, plane, env=env)
        other.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
        assert [get(other, who, f"/v1/responses/{ident}").status for who in ("sk-u1", "sk-u2")] == [mine, 403]
        other.stop()


def test_a_stream_s_response_id_is_its_owner_s(told, mock):
    w = told(*OWNERS)
    event = {"type": "response.created", "response": {"id": "resp_up1", "object": "response", "model": "gpt-up", "output": []}}
    done = {**event, "type": "response.completed"}
    mock.on("gpt-up", [head(200, [("Content-Type", "text/event-stream")], chunked=True),
                       *(chunk(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode()) for e in (event, done)), b"0\r\n\r\n"])  # fmt: skip
    got = responses(w, "sk-u1", "gpt", stream=True).body
    ids = {json.loads(line[6:])["response"]["id"] for line in got.decode().splitlines() if line.startswith("data: ")}
    assert len(ids) == 1 and "resp_up1" not in str(ids)
    mock.on("GET /responses/resp_up1", made(mock, "resp_up1"))
    ((ident,),) = [ids]
    assert [get(w, who, f"/v1/responses/{ident}").status for who in ("sk-u1", "sk-u1-too", "sk-u2")] == [200, 200, 403]


def native_id(deployment, upstream):
    text = f"litellm:custom_llm_provider:openai;model_id:{deployment};response_id:{upstream}"
    return "resp_" + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize("ident,text", [
    ("resp_68a1b2c3d4", "This response id was not issued by this proxy"),  # the provider's own: another's, maybe
    (native_id("id-of-gpt", "resp_up1"), "The response id is not associated with"),  # written by hand, without a seal
    (native_id("id-of-gpt", "resp_up1;seal:" + 2 * "0123456789abcdef"), "The response id is not associated with"),
], ids=["raw", "unsealed", "forged"])  # fmt: skip
def test_ids_this_gateway_did_not_make_are_refused_to_keys(told, mock, ident, text):
    w = told(*OWNERS)
    mock.on("gpt-up", made(mock, "resp_up2"))
    before = len(mock.requests)
    for reply in (responses(w, "sk-u1", "gpt", previous_response_id=ident), get(w, "sk-u1", f"/v1/responses/{ident}")):
        assert error(reply)[::3][0] == 403
        assert error(reply)[3].startswith("Forbidden. " + text)
    assert len(mock.requests) == before
    assert responses(w, MASTER_KEY, "gpt", previous_response_id=ident).status == 200


def test_settings_of_response_ids(mock, plane, start):
    plane.put(a=key("sk-a"), b=key("sk-b"))
    mock.on("gpt-up", made(mock, "resp_up1"))
    mock.on("GET /responses/resp_up1", made(mock, "resp_up1"))
    w = gateway(start, mock, plane, {"allow_unmanaged_response_ids": True})
    w.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
    ident = json.loads(responses(w, "sk-a", "gpt").body)["id"]
    assert responses(w, "sk-b", "gpt", previous_response_id="resp_68a1b2c3d4").status == 200
    assert get(w, "sk-b", f"/v1/responses/{ident}").status == 403
    w.stop()
    w = gateway(start, mock, plane, {"disable_responses_id_security": True})
    assert get(w, "sk-b", f"/v1/responses/{ident}").status == 200
    assert get(w, "sk-b", f"/v1/responses/{native_id('id-of-gpt', 'resp_up1')}").status == 200
    assert responses(w, "sk-b", "gpt", previous_response_id="resp_68a1b2c3d4").status == 200
    plane.put(a=None, b=None)


def test_a_response_id_opens_nothing_its_caller_may_not_use(told, plane, mock):
    """What an id names is judged as if it was asked for, and the key as for any request."""
    def owned(**more):
        return [key("sk-no", user="u1", **more), key("sk-yes", user="u1"), user("u1")]

    w = told(*owned())
    mock.on("gpt-up", made(mock, "resp_up1"))
    mock.on("GET /responses/resp_up1", made(mock, "resp_up1"))
    native = json.loads(responses(w, "sk-yes", "gpt").body)["id"]
    kept = json.loads(responses(w, "sk-yes", "open").body)["id"]
    for more, status in (({"models": ["claude"]}, 403), ({"models": ["claude"], "aliases": [("gpt", "claude")]}, 403),
                         ({"expires": 1700000000}, 401), ({"routes": ["/v1/embeddings"]}, 403), ({"ips": ["10.1.2.3"]}, 403)):  # fmt: skip
        plane.put(e0=owned(**more)[0])
        w.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
        before = len(mock.requests)
        for ident in (native, kept):
            assert get(w, "sk-no", f"/v1/responses/{ident}").status == status, more
            assert http.call(w.port, "DELETE", f"/v1/responses/{ident}", "sk-no").status == status, more
        assert responses(w, "sk-no", "claude", previous_response_id=native).status == status, more
        assert len(mock.requests) == before
    assert get(w, "sk-yes", f"/v1/responses/{native}").status == 200
    assert get(w, "sk-yes", f"/v1/responses/{kept}").status == 200
