"""Identities as a control plane tells of them (proto/weir.proto), a gateway in front of the scripted upstream that has them,
and requests of theirs. plane, shared, told: fixtures, for a test module to import."""

import contextlib
import hashlib
import json
import os

import pytest

from . import http, played
from .weir import Weir

PRICED = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.001}


def sha(key):
    return hashlib.sha256(key.encode()).digest()


def usd(dollars):
    return {1: round(dollars * 1e9)}


def limits(*, budget=None, tpm=None, rpm=None, parallel=None, models=(), extra=None, windows=()):
    """Limits of proto/weir.proto. windows: (duration, dollars), or with the second they begin anew."""
    out = {}
    for number, value in ((1, usd(budget) if budget is not None else None), (3, tpm), (4, rpm), (5, parallel)):
        if value is not None:
            out[number] = value if isinstance(value, dict) else {1: value}
    if models:
        out[8] = [{1: name, **({2: {1: t}} if t is not None else {}), **({3: {1: r}} if r is not None else {}),
                   **({4: usd(b), 5: "1d"} if b is not None else {})} for name, r, t, b in models]  # fmt: skip
    if windows:
        out[8] = out.get(8, []) + [{4: usd(w[1]), 5: w[0], 6: int(w[2] * 1e6) if len(w) > 2 else 0} for w in windows]
    if extra:
        out[9], out[10] = round(extra[0] * 1e9), int(extra[1] * 1e6)
    return out


def key(text, *, team=None, user=None, org=None, project=None, models=(), groups=(), aliases=(), routes=(), ips=(),
        blocked=False, expires=0, lim=None, metadata=None, spend=0.0, successor=None, tags=(), alias=None):  # fmt: skip
    m = {1: sha(text), 2: f"sk-...{text[-4:]}", 13: blocked}
    for number, value in ((3, alias), (4, team), (5, user), (6, org), (7, project), (15, lim)):
        if value:
            m[number] = value
    for number, values in ((8, models), (9, groups), (11, routes), (12, ips), (20, tags)):
        if values:
            m[number] = list(values)
    if aliases:
        m[10] = [{1: a, 2: b} for a, b in aliases]
    if expires:
        m[14] = int(expires * 1e6)
    if metadata:
        m[16] = json.dumps(metadata)
    m[17] = round(spend * 1e9)
    if successor:
        m[18] = sha(successor)
    return {1: m}


def team(ident, *, models=(), aliases=(), blocked=False, lim=None, spend=0.0, org=None, groups=(), metadata=None):
    m = {1: ident, 7: blocked, 10: round(spend * 1e9)}
    if metadata:
        m[9] = json.dumps(metadata)
    for number, values in ((4, models), (5, groups)):
        if values:
            m[number] = list(values)
    if aliases:
        m[6] = [{1: a, 2: b} for a, b in aliases]
    for number, value in ((3, org), (8, lim)):
        if value:
            m[number] = value
    return {2: m}


def user(ident, *, models=(), lim=None, spend=0.0, role="internal_user", blocked=False):
    return {3: {1: ident, 4: role, **({5: list(models)} if models else {}), **({6: lim} if lim else {}),
                7: round(spend * 1e9), 8: blocked}}  # fmt: skip


def member(of, ident, *, lim=None, spend=0.0, models=()):
    return {4: {1: of, 2: ident, **({3: lim} if lim else {}), 4: round(spend * 1e9),
                **({5: list(models)} if models else {})}}  # fmt: skip


def organization(ident, *, lim=None, spend=0.0):
    return {5: {1: ident, **({4: lim} if lim else {}), 5: round(spend * 1e9)}}


def project(ident, of, *, models=(), blocked=False, lim=None, spend=0.0):
    return {6: {1: ident, 3: of, **({4: list(models)} if models else {}), 5: blocked, **({6: lim} if lim else {}),
                7: round(spend * 1e9)}}  # fmt: skip


def end_user(ident, *, blocked=False, lim=None, spend=0.0, models=()):
    return {7: {1: ident, 4: blocked, **({5: lim} if lim else {}), 6: round(spend * 1e9), **({7: list(models)} if models else {})}}


def budget(ident, lim):
    return {13: {1: ident, 2: lim}}


def group_budget(name, lim, spend=0.0):
    return {14: {1: name, 2: lim, 3: round(spend * 1e9)}}


def tag(name, *, lim=None, spend=0.0):
    return {8: {1: name, **({3: lim} if lim else {}), 4: round(spend * 1e9)}}


def access_group(ident, models):
    return {9: {1: ident, 2: ident, 3: list(models)}}


@pytest.fixture(scope="module")
def plane():
    path = f"/tmp/weir-policy-{os.getpid()}"
    it = played.Plane(path)
    yield it
    it.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def models(mock):
    def one(name, upstream, **info):
        return {"model_name": name, "litellm_params": {"model": f"openai/{upstream}", "api_base": mock.url,
                                                       "api_key": "sk-upstream-1"}, "model_info": info}  # fmt: skip

    return [one("gpt", "gpt-up", **PRICED, access_groups=["beta"], id="id-of-gpt"), one("claude", "claude-up", **PRICED),
            one("free", "free-up", input_cost_per_token=0, output_cost_per_token=0),
            {"model_name": "open", "litellm_params": {"model": "deepseek/open-up", "api_base": mock.url, "api_key": "sk-upstream-1"}},
            one("openai/*", "*")]  # fmt: skip


def gateway(make, mock, plane, general=None, litellm=None, **kw):
    return make({"model_list": models(mock), "general_settings": general or {}, "litellm_settings": litellm or {},
                 "weir": {"control_plane": [plane.address]}}, **kw)  # fmt: skip


@pytest.fixture(scope="module")
def shared(mock_server, plane):
    w = gateway(Weir, mock_server, plane, workers=2)
    yield w
    w.stop()


@pytest.fixture
def told(shared, plane, mock):
    """Publishes entities, waits until every worker has them, and takes them back."""
    names = []

    def told_(*entities):
        put = {f"e{len(names) + i}": e for i, e in enumerate(entities)}
        names.extend(put)
        plane.put(**put)
        shared.wait(lambda: plane.acknowledged() == plane.now, 10, "acknowledged")
        return shared

    yield told_
    if names:
        plane.put(**dict.fromkeys(names))


def post(w, key_text, body=None, path="/v1/chat/completions", headers=None, **more):
    body = {"model": "gpt", "messages": [{"role": "user", "content": "hello"}], **(body or {}), **more}
    return http.call(w.port, "POST", path, key_text, json.dumps(body).encode(),
                     [("content-type", "application/json"), *(headers or {}).items()])  # fmt: skip


def get(w, key_text, path):
    return http.call(w.port, "GET", path, key_text)


def error(reply):
    e = json.loads(reply.body)["error"]
    return reply.status, e["type"], e["param"], e["message"]
