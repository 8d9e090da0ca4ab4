"""The Node SDKs, unmodified: each file of node/ plays its scenarios in one process; a test looks at one scenario."""

import json

import pytest

from support import node
from support.pairs import upstreams


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    return node.place(tmp_path_factory.mktemp("node"))


@pytest.fixture(scope="module")
def played():
    return {}


@pytest.mark.parametrize("name,scenario", [(n, s) for n in ("openai", "anthropic") for s in node.scenarios(n)])
def test_node(name, scenario, endpoint, scripts, played):
    if name not in played:
        played[name] = node.play(scripts, name, endpoint.url, endpoint.key)
    result = played[name][scenario]
    assert "error" not in result, result["stack"]


PAIRS = {"pairs_chat": "chat", "pairs_messages": "messages", "pairs_responses": "responses"}


@pytest.mark.parametrize(
    "name,scenario,upstream",
    [(n, s, u) for n, api in PAIRS.items() for s in node.scenarios(n) for u in upstreams(api)],
)
def test_pairs(name, scenario, upstream, place, scripts, played, model):
    """On upstreams of every API. What the model refused fails the first test of its file."""
    if name not in played:
        models = {u: place.name(u) for u in upstreams(PAIRS[name])}
        played[name] = node.play(scripts, name, place.url, place.key, json.dumps(models))
    result = played[name][f"{scenario} {upstream}"]
    assert "error" not in result, result["stack"]
