"""Coding agents from their packages, unmodified, do a task with their own tools: a model of another vendor plays along."""

import json
import os
import signal
import subprocess

import pytest

from support.connect_proxy import ConnectProxy
from support.node import MODULES
from support.pairs import DIRECT
from support.parts import Call
from support.plans import WRITTEN

CLAUDE = next(MODULES.glob("@anthropic-ai/claude-code-linux-*/claude"), None)
CODEX = next(MODULES.glob("@openai/codex-linux-*/vendor/*/bin/codex"), None)


@pytest.fixture
def proxy():
    """Stands for the world: nobody may ask for it."""
    proxy = ConnectProxy(refuse="403 Forbidden")
    yield proxy
    asked = proxy.targets
    proxy.stop()
    assert asked == []


@pytest.fixture
def run(tmp_path, proxy):
    """Runs an agent in a home and a directory of its own: (stdout, the directory)."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    world = {n: proxy.url for n in ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")}
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **world,
           "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}  # fmt: skip

    def run_(argv, more):
        p = subprocess.Popen(argv, env={**env, **more}, cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
        try:
            out, err = p.communicate(timeout=50)
        finally:
            if p.poll() is None:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        assert p.returncode == 0, f"{out}\n{err}"
        return out, work

    return run_


def check_calls(model, names):
    """What the model saw of its own calls at the end, ids in pairs."""
    last = max((r.view for r in model.requests if r.view and r.view.tools), key=lambda v: len(v.turns))
    assert [c.name for c in last.parts(Call)] == names
    return last


@pytest.mark.parametrize(
    "upstream", ["adaptive"] if DIRECT else ["adaptive", "messages", "chat", "groq", "kimi", "responses", "moded"]
)
def test_claude_code(upstream, run, place, model):
    """It tries what a model of an unknown name may not have, and goes on without after a 400."""
    name = place.name(upstream)
    env = {
        "ANTHROPIC_BASE_URL": place.url, "ANTHROPIC_AUTH_TOKEN": place.key, "ANTHROPIC_MODEL": name,
        **{f"ANTHROPIC_DEFAULT_{kind}_MODEL": name for kind in ("HAIKU", "SONNET", "OPUS")},
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_TELEMETRY": "1", "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
    }  # fmt: skip
    assert CLAUDE, "the package is missing: deploy/install-deps --test"
    tools = "Write,Read,Edit,Bash(cat *)"
    out, work = run(
        [CLAUDE, "-p", "plan:claude please, file=note.txt", "--output-format", "json", "--allowedTools", tools], env
    )
    result = json.loads(out)
    assert (work / "note.txt").read_text() == WRITTEN, result
    assert (result["is_error"], result["subtype"]) == (False, "success")
    assert result["result"].startswith("All done: one\nzwei 🌊")
    last = check_calls(model, ["Write", "Read", "Edit", "Bash"])
    if upstream == "messages":  # its own API: what it tries goes through
        model.refused.clear()
    assert "claude" in last.system[0].lower() or "claude" in last.system[1].lower()


CONFIG = """
model_provider = "weir"
check_for_update_on_startup = false
[features]
plugins = false
[analytics]
enabled = false
[feedback]
enabled = false
[model_providers.weir]
name = "Weir"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "WEIR_KEY"
request_max_retries = 0
stream_max_retries = 0
supports_websockets = false
"""


@pytest.mark.parametrize("known", [False, True], ids=["unknown_name", "known_name"])
@pytest.mark.parametrize(
    "upstream", ["responses", "moded"] if DIRECT else ["responses", "moded", "messages", "adaptive", "groq", "kimi"]
)
def test_codex(upstream, known, run, place, model, tmp_path):
    """By the name of the model it offers a patch tool of free text, or only a shell."""
    name = f"gpt-5.5-on-{upstream}" if known else place.name(upstream)
    config = tmp_path / "codex"
    config.mkdir()
    (config / "config.toml").write_text(CONFIG.format(url=place.url))
    assert CODEX, "the package is missing: deploy/install-deps --test"
    argv = [
        CODEX,
        "exec",
        "--skip-git-repo-check",
        "-s",
        "danger-full-access",
        "-m",
        name,
        "-o",
        tmp_path / "last",
        "--json",
    ]
    out, work = run([*argv, "plan:codex please, file=note.txt"], {"CODEX_HOME": str(config), "WEIR_KEY": place.key})
    assert (work / "note.txt").read_text() == WRITTEN, out
    events = [json.loads(line) for line in out.splitlines()]
    assert events[-1]["type"] == "turn.completed", events
    assert "one\nzwei 🌊" in (tmp_path / "last").read_text()
    check_calls(model, ["apply_patch" if known else "exec_command", "exec_command"])
