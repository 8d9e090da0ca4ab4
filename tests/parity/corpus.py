"""Reads the corpus: rows of requests (cases/API.yaml) and replies (replies/DIALECT.yaml), as cases.

A row of requests goes to several kinds of upstream, whole and streamed as it says. Every reply of a dialect becomes
cases too, for each API, with a plain request. A case's name is API-KIND/ROW, with .stream behind a streamed one.
"""

import dataclasses
import json
import pathlib

import yaml

import deployments

HERE = pathlib.Path(__file__).resolve().parent
APIS = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hello"}]}),
    "messages": ("/v1/messages", {"max_tokens": 256, "messages": [{"role": "user", "content": "hello"}]}),
    "responses": ("/v1/responses", {"input": "hello"}),
    "completions": ("/v1/completions", {"prompt": "hello"}),
}
# Which kind stands for a dialect when its replies are played: one that is asked in that dialect for that API.
REPLY_KINDS = {
    "chat": {"chat": "gpt", "messages": "vllm", "responses": "deepseek", "completions": "gpt"},
    "completions": {"completions": "vllm"},
    "anthropic": dict.fromkeys(APIS, "claude"),
    "responses": dict.fromkeys(("chat", "messages", "responses"), "resp"),
}
FIELDS = {"api", "to", "with", "stream", "request", "reply", "params", "path", "headers"}


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    api: str
    kind: str
    path: str
    body: dict  # without the model
    headers: dict
    params: dict  # of the deployment
    replies: dict  # by dialect
    stream: bool

    @property
    def pairing(self):
        return self.name.split("/")[0]

    def request(self, lane):
        body = {"model": deployments.public(self.kind, self.params, lane), **self.body}
        if self.stream:
            body["stream"] = True
        return json.dumps(body, ensure_ascii=False).encode()


class Loader(yaml.SafeLoader):
    """YAML with `!times [n, value]`, a text n times or a list of n where {i} counts, and `!join [text...]`."""


def _times(loader, node):
    n, value = loader.construct_sequence(node, deep=True)
    if isinstance(value, str):
        return "".join(value.replace("{i}", str(i)) for i in range(n))
    return [_counted(one, i) for i in range(n) for one in (value if isinstance(value, list) else [value])]


def _counted(value, i):
    if isinstance(value, dict):
        return {k: _counted(v, i) for k, v in value.items()}
    if isinstance(value, list):
        return [_counted(v, i) for v in value]
    return value.replace("{i}", str(i)) if isinstance(value, str) else value


Loader.add_constructor("!times", _times)
Loader.add_constructor("!join", lambda loader, node: "".join(loader.construct_sequence(node, deep=True)))


def _load(folder):
    files = sorted((HERE / folder).glob("*.yaml"))
    return {p.stem: yaml.load(p.read_text(encoding="utf-8"), Loader) for p in files}


def _replies(named, wanted, row):
    """By dialect: a name for all, names by dialect, or nothing, which is `text`."""
    out = {}
    for dialect, table in named.items():
        name = wanted.get(dialect, "text") if isinstance(wanted, dict) else wanted or "text"
        if name in table:
            out[dialect] = table[name]
    assert out, f"{row}: no reply {wanted}"
    return out


def cases():
    """All cases, in the order of the files."""
    named = _load("replies")
    out = []
    for stem, content in _load("cases").items():
        defaults = content.get("defaults", {})
        for row, own in content["rows"].items():
            spec = {**defaults, **own}
            assert not set(spec) - FIELDS, f"{stem}.yaml: {row}: {set(spec) - FIELDS}"
            replies = _replies(named, spec.get("reply"), row)
            for kind in spec.get("to", deployments.BASIC):
                out += _expand(row, spec, kind, replies)
    for dialect, table in named.items():
        for reply in table:
            for api, kind in REPLY_KINDS[dialect].items():
                spec = {"api": api, "request": APIS[api][1], "stream": "both"}
                out += _expand(f"reply_{reply}", spec, kind, {dialect: table[reply]})
    names = [c.name for c in out]
    assert len(set(names)) == len(names), [n for n in names if names.count(n) > 1]
    return out


def _expand(row, spec, kind, replies):
    api = spec["api"]
    for stream in {"both": (False, True)}.get(spec.get("stream", False), (spec.get("stream", False),)):
        name = f"{api}-{kind}/{row}{'.stream' if stream else ''}"
        body = {**spec.get("with", {}), **spec["request"]}
        yield Case(name, api, kind, spec.get("path", APIS[api][0]), body, spec.get("headers", {}),
                   spec.get("params", {}), replies, stream)  # fmt: skip


def variants(wanted):
    """The deployments that cases need: (kind, params) pairs."""
    seen = {}
    for c in wanted:
        seen[c.kind, json.dumps(c.params, sort_keys=True)] = (c.kind, c.params)
    return list(seen.values())


def select(names):
    """Cases whose name holds one of the names; all without names."""
    return [c for c in cases() if not names or any(n in c.name for n in names)]
