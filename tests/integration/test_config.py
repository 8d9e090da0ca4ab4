"""What is said about configurations: --check, --help, and refusals a person can act on."""

import os
import subprocess
import time

import pytest

from support import standard
from support.http import call
from support.mock_provider import Mock, free_port
from support.weir import MASTER_KEY, program, run, yaml

SAY = [{"role": "user", "content": "x"}]
MODELS = "model_list:\n  - model_name: m\n    litellm_params:\n      model: openai/gpt-4o\n      api_key: sk-config-Lm4n\n"


@pytest.fixture
def check(tmp_path):
    """--check of a text: (status, everything it said). No secret may be in it."""

    def check_(text, env=None, **files):
        for name, content in files.items():
            (tmp_path / f"{name}.yaml").write_text(content)
        path = tmp_path / "config.yaml"
        path.write_text(text)
        status, out, err = run("weir-dataplane", "--check", path, env=env)
        assert "sk-" not in out + err
        assert "Sanitizer" not in err and "runtime error" not in err
        return status, out + err

    return check_


def test_help_and_version():
    for name in ("weir-dataplane", "weir-link"):
        status, out, err = run(name, "--help")
        assert (status, err) == (0, "")
        assert name in out
    status, out, _ = run("weir-dataplane", "--help")
    for option in ("--config", "--port", "--check", "--version"):
        assert option in out
    status, out, err = run("weir-dataplane", "--version")
    assert status == 0 and out.count("\n") == 1


@pytest.mark.parametrize("args", [["--no-such-option"], ["--port"], ["--port", "70000"], ["--port", "x"], ["stray"]])
def test_bad_options_are_told(args):
    status, out, err = run("weir-dataplane", *args)
    assert status not in (0, None) and status > 0
    assert err.strip() and args[-1].lstrip("-") in err


def test_check_shows_models_and_memory(check):
    status, said = check(yaml(standard.config("http://127.0.0.1:1")))
    assert status == 0, said
    for name in ("gpt-pub", "claude-pub", "azure-pub", "wild/*"):
        assert name in said
    assert "memory" in said.lower() and "MiB" in said
    status, said = check(MODELS)
    assert status == 0, said
    assert "master" in said.lower(), "no master key: it says what that means"


def test_check_of_a_missing_file(tmp_path):
    status, _, err = run("weir-dataplane", "--check", tmp_path / "none.yaml")
    assert status > 0
    assert "none.yaml" in err and "No such file" in err


@pytest.mark.parametrize(
    "text,line,words",
    [
        ("model_list: [\n", None, []),
        ("model_list:\n  - model_name: a\n   bad: indent\n", 3, []),
        ("model_list: 7\n", 1, ["model_list", "list"]),
        ("model_list:\n  - litellm_params:\n      model: openai/x\n", 2, ["model_name"]),
        ("model_list:\n  - model_name: a\n", 2, ["litellm_params"]),
        ("model_list:\n  - model_name: a\n    litellm_params:\n      api_key: x\n", 3, ["model"]),
        (MODELS + "general_settings:\n  master_key: [1]\n", 7, ["master_key"]),
        (MODELS + "router_settings:\n  num_retries: many\n", 7, ["num_retries", "many"]),
        (MODELS + "router_settings:\n  num_retries: -1\n", 7, ["num_retries"]),
        (MODELS + "router_settings:\n  num_retrys: 1\n", 7, ["num_retrys", "num_retries"]),
        (MODELS + "general_settings:\n  master_kye: x\n", 7, ["master_kye", "master_key"]),
        (MODELS + "litellm_settings:\n  drop_parms: true\n", 7, ["drop_parms", "drop_params"]),
        (MODELS + "weir:\n  acces_log: x\n", 7, ["acces_log", "access_log"]),
        (MODELS + "modle_list: []\n", 6, ["modle_list", "model_list"]),
        (MODELS + "weir:\n  access_log: a\n  access_log: b\n", 8, ["access_log"]),
        ("model_list:\n  - model_name: a\n    litellm_params:\n      model: openai/x\n      api_base: ftp://x\n", 5,
         ["api_base"]),
        ("model_list:\n  - model_name: a\n    litellm_params:\n      model: nosuchprovider/x\n", 4, ["nosuchprovider"]),
    ],
)  # fmt: skip
def test_errors_name_file_line_and_key(check, text, line, words):
    status, said = check(text)
    assert status > 0, said
    assert "config.yaml" in said
    if line:
        assert f"config.yaml:{line}" in said or f"line {line}" in said, said
    for word in words:
        assert word in said, said
    assert len(said) < 2000


@pytest.mark.parametrize(
    "section,key,value",
    [
        ("litellm_settings", "blocked_user_list", '["eve"]'),
        ("general_settings", "custom_auth", "my.auth"),
        ("general_settings", "enable_jwt_auth", "true"),
        ("general_settings", "enable_oauth2_auth", "true"),
        ("general_settings", "max_response_size_mb", "5"),
        ("general_settings", "default_team_disabled", "true"),
        ("general_settings", "max_parallel_requests", "5"),
    ],
)
def test_what_enforces_is_refused_until_accepted(check, section, key, value):
    """A limit that would not be kept must not look as if it were."""
    text = MODELS + f"{section}:\n  {key}: {value}\n"
    status, said = check(text)
    assert status > 0, said
    assert key in said and ("config.yaml:7" in said or "line 7" in said)
    assert "accept_unenforced" in said, "and how to go on"
    status, said = check(text + f"weir:\n  accept_unenforced: [{key}]\n")
    if status:
        status, said = check(text + f"weir:\n  accept_unenforced: [{section}.{key}]\n")
    assert status == 0, said
    assert key in said, "a warning remains"


def test_guardrails_are_refused(check):
    status, said = check(MODELS + "guardrails:\n  - guardrail_name: g\n    litellm_params: {guardrail: presidio, mode: pre_call}\n")
    assert status > 0 and "guardrails" in said


@pytest.mark.parametrize(
    "text,key",
    [
        ("litellm_settings:\n  cache: true\n", "cache"),
        ("litellm_settings:\n  callbacks: [langfuse]\n", "callbacks"),
        ("router_settings:\n  routing_strategy: least-busy\n", "routing_strategy"),
        ("router_settings:\n  fallbacks: [{m: [m]}]\n", "fallbacks"),
        ("general_settings:\n  alerting_threshold: 300\n", "alerting_threshold"),
    ],
)
def test_what_is_not_built_yet_is_one_warning(check, text, key):
    status, said = check(MODELS + text)
    assert status == 0, said
    assert len([line for line in said.splitlines() if key in line and "warn" in line.lower()]) == 1, said


def test_include_is_merged(check):
    status, said = check("include: [more.yaml]\n" + MODELS, more=MODELS.replace(": m\n", ": from-more\n"))
    assert status == 0, said
    assert "from-more" in said
    status, said = check("include: [absent.yaml]\n" + MODELS)
    assert status > 0 and "absent.yaml" in said
    status, said = check("include: [more.yaml]\n" + MODELS, more="router_settings:\n  num_retrys: 1\n")
    assert status > 0 and "more.yaml" in said, "the file that is wrong is named"
    status, said = check("include: [config.yaml]\n" + MODELS)
    assert status > 0, "a file that includes itself"


def test_values_of_the_environment(start, mock):
    """os.environ/NAME anywhere, environment_variables as a table of them, credential_list by name."""
    config = {
        "environment_variables": {"FROM_TABLE": "sk-table-Wq8e"},
        "credential_list": [{"credential_name": "cred", "credential_values": {
            "api_key": "os.environ/FROM_ENV", "api_base": f"{mock.url}/v1"}, "credential_info": {}}],
        "model_list": [
            {"model_name": "a", "litellm_params": {"model": "openai/up", "api_base": "os.environ/BASE",
                                                   "api_key": "os.environ/FROM_TABLE"}},
            {"model_name": "b", "litellm_params": {"model": "openai/up", "litellm_credential_name": "cred"}},
            {"model_name": "c", "litellm_params": {"model": "openai/up", "api_base": f"{mock.url}/v1"}},
            {"model_name": "d", "litellm_params": {"model": "groq/up", "api_base": f"{mock.url}/v1"}},
        ],
    }  # fmt: skip
    weir = start(config, env={"BASE": f"{mock.url}/v1", "FROM_ENV": "sk-env-Ty3u", "OPENAI_API_KEY": "sk-env-openai-Op1l"})
    for model, key in (("a", "sk-table-Wq8e"), ("b", "sk-env-Ty3u"), ("c", "sk-env-openai-Op1l")):
        mock.reset()
        assert weir.post("/v1/chat/completions", {"model": model, "messages": SAY}).status == 200
        assert mock.request.headers["authorization"] == f"Bearer {key}"
    mock.reset()
    reply = weir.post("/v1/chat/completions", {"model": "d", "messages": SAY})
    assert reply.status == 401, "no key configured for that provider"
    assert "GROQ_API_KEY" in reply.json["error"]["message"]
    assert mock.requests == []


def test_environment_names_of_litellm(tmp_path):
    """LITELLM_MASTER_KEY, CONFIG_FILE_PATH, PORT."""
    mock, port = Mock(), free_port()
    path = tmp_path / "c.yaml"
    path.write_text(yaml({"model_list": [standard.openai("m", "up", mock.url)]}))
    env = {"PATH": os.environ["PATH"], "CONFIG_FILE_PATH": str(path), "PORT": str(port), "LITELLM_MASTER_KEY": MASTER_KEY,
           "WEIR_STATE_DIR": str(tmp_path / "s"), "WEIR_RUN_DIR": str(tmp_path / "r")}  # fmt: skip
    log = tmp_path / "stderr"
    with log.open("wb") as f:
        p = subprocess.Popen([program("weir-dataplane")], env=env, stdout=f, stderr=f)
    try:
        ready = None
        for _ in range(400):
            try:
                ready = call(port, "GET", "/health/readiness").status
                break
            except OSError:
                time.sleep(0.02)
        assert ready == 200, log.read_text()
        assert call(port, "GET", "/v1/models").status == 401
        assert call(port, "GET", "/v1/models", MASTER_KEY).status == 200
    finally:
        p.terminate()
        time.sleep(0.05)
        p.terminate()
        p.wait(20)
        mock.stop()


def test_port_in_use_is_told(start, mock, tmp_path):
    weir = start(standard.config(mock.url))
    status, _, err = run("weir-dataplane", "--config", weir.config, "--port", weir.port,
                         env={"WEIR_STATE_DIR": str(tmp_path / "s"), "WEIR_RUN_DIR": str(tmp_path / "r")})  # fmt: skip
    assert status > 0
    assert str(weir.port) in err and "in use" in err


def test_a_bad_configuration_does_not_start(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(MODELS + "router_settings:\n  num_retrys: 1\n")
    status, _, err = run("weir-dataplane", "--config", path, "--port", free_port(),
                         env={"WEIR_STATE_DIR": str(tmp_path / "s"), "WEIR_RUN_DIR": str(tmp_path / "r")})  # fmt: skip
    assert status > 0
    assert "num_retrys" in err
