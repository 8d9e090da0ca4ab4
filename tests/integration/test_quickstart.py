"""deploy/quickstart as a person uses it, on the release build."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/release/dataplane"))

pytestmark = [
    pytest.mark.release,
    pytest.mark.skipif(BUILD.parent.name != "release", reason="quickstart runs the release build"),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def processes_of(session):
    """The living processes of a session, by /proc."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(stat.parent.name))
    return found


def start_time(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


class Quickstart:
    """One state directory and port; whatever still runs is ended with the test."""

    def __init__(self, state):
        self.state, self.port = state, free_port()
        self.env = {k: v for k, v in os.environ.items()
                    if not re.search(r"(_API_KEY|_API_BASE|_AUTH_TOKEN|MASTER_KEY)$", k)}

    def command(self, *options):
        return [str(ROOT / "deploy/quickstart"), "--port", str(self.port), "--state", str(self.state), *options]

    def __call__(self, *options, **env):
        # A file, not a pipe: the daemon left behind must not keep the test waiting for the end of one.
        with open(self.state.with_suffix(".out"), "w+") as out:
            status = subprocess.run(self.command(*options), env=dict(self.env, **env), stdout=out,
                                    stderr=subprocess.STDOUT, timeout=50).returncode
            out.seek(0)
            return status, out.read()

    @property
    def pid(self):
        return int((self.state / "weir.pid").read_text().split()[0])

    def curl_line(self, said):
        return next(line for line in said.splitlines() if line.strip().startswith("curl "))


@pytest.fixture
def quickstart(tmp_path):
    one = Quickstart(tmp_path / "state")
    yield one
    one("--stop")


def events(text):
    return [line[6:] for line in text.splitlines() if line.startswith("data: ")]


def test_the_printed_request_works_as_pasted(quickstart):
    status, said = quickstart("--detach")
    assert status == 0, said
    answer = subprocess.run(["bash", "-c", quickstart.curl_line(said)], capture_output=True, text=True, timeout=20)
    assert answer.returncode == 0
    data = events(answer.stdout)
    assert data[-1] == "[DONE]"
    text = "".join(c["delta"].get("content") or "" for d in data[:-1] for c in json.loads(d)["choices"])
    assert text == "The water finds its way over the weir, and every drop of it is counted."
    assert len(data) > 10, "streamed word by word"


def test_status_stop_and_nothing_left(quickstart):
    assert quickstart("--status")[0] == 3
    assert quickstart("--detach")[0] == 0
    session = quickstart.pid
    status, said = quickstart("--status")
    assert status == 0
    assert f"pid {session}" in said and f"port {quickstart.port}" in said and "ready" in said
    assert len(processes_of(session)) >= 3  # manager, link, a worker
    assert quickstart("--stop")[0] == 0
    assert processes_of(session) == []
    assert quickstart("--status")[0] == 3


def test_second_start_is_quick_and_keeps_key_and_configuration(quickstart):
    _, first = quickstart("--detach")
    quickstart("--stop")
    began = time.monotonic()
    _, second = quickstart("--detach")
    assert time.monotonic() - began < 3
    assert quickstart.curl_line(first) == quickstart.curl_line(second)


def test_detach_twice_says_so_and_starts_nothing(quickstart):
    quickstart("--detach")
    pid = quickstart.pid
    status, said = quickstart("--detach")
    assert status == 0 and "already runs" in said
    assert quickstart.pid == pid


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_foreground_ends_all(quickstart, signum):
    # A session of its own stands for the terminal: like Ctrl-C the signal goes to the whole group.
    script = subprocess.Popen(quickstart.command(), env=quickstart.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, start_new_session=True,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    for line in script.stdout:
        if "Ctrl-C" in line:
            break
    session = quickstart.pid
    assert processes_of(session)
    os.killpg(script.pid, signum)
    assert script.wait(30) == 128 + signum
    assert processes_of(session) == []
    assert not (quickstart.state / "weir.pid").exists()
    script.stdout.close()


def test_the_key_is_private(quickstart):
    _, said = quickstart("--detach")
    key = (quickstart.state / "master-key").read_text().strip()
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{32}", key)
    assert key in quickstart.curl_line(said)
    assert (quickstart.state / "master-key").stat().st_mode & 0o777 == 0o600
    assert quickstart.state.stat().st_mode & 0o777 == 0o700
    subprocess.run(["bash", "-c", quickstart.curl_line(said)], capture_output=True, timeout=20, check=True)
    for pid in processes_of(quickstart.pid):
        assert key.encode() not in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    quickstart("--stop")
    assert key not in (quickstart.state / "weir.log").read_text()
    assert key not in (quickstart.state / "config.yaml").read_text()


def test_the_plain_request_works_too(quickstart):
    _, said = quickstart("--detach")
    line = quickstart.curl_line(said).replace('"stream": true, ', "")
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=20)
    message = json.loads(answer.stdout)["choices"][0]["message"]
    assert message["content"].startswith("The water finds its way")


def test_stopping_is_quick(quickstart):
    quickstart("--detach")
    began = time.monotonic()
    quickstart("--stop")
    assert time.monotonic() - began < 3, "nobody is waited for"


def test_the_sample_follows_provider_keys_until_it_is_edited(quickstart):
    config = quickstart.state / "config.yaml"
    quickstart("--detach", OPENAI_API_KEY="x", AZURE_API_KEY="y")
    quickstart("--stop")
    assert "model: openai/*\n      api_key: os.environ/OPENAI_API_KEY\n" in config.read_text()
    assert "azure" not in config.read_text(), "an Azure key alone names no resource"
    quickstart("--detach", ANTHROPIC_API_KEY="x")
    quickstart("--stop")
    assert "anthropic/*" in config.read_text() and "openai/*" not in config.read_text()
    edited = config.read_text() + "# mine\n"
    config.write_text(edited)
    quickstart("--detach", OPENAI_API_KEY="x")
    assert config.read_text() == edited


def test_a_configuration_of_ones_own(quickstart, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("model_list:\n  - model_name: \"poem\"  # mine\n    litellm_params:\n"
                      "      model: openai/x\n      mock_response: \"one two\"\n"
                      "general_settings:\n  master_key: 'sk-mine'\n")
    status, said = quickstart("--detach", "--config", str(config))
    assert status == 0, said
    assert "Bearer sk-mine" in said and '"model": "poem"' in said
    assert not (quickstart.state / "config.yaml").exists()
    answer = subprocess.run(["bash", "-c", quickstart.curl_line(said)], capture_output=True, text=True, timeout=20)
    assert events(answer.stdout)[-1] == "[DONE]"


def test_a_port_in_use_is_named(quickstart):
    with socket.socket() as s:
        s.bind(("127.0.0.1", quickstart.port))
        s.listen()
        status, said = quickstart("--detach")
    assert status == 1
    assert f"port {quickstart.port} is already used" in said


def test_a_bad_configuration_is_shown(quickstart, tmp_path):
    config = tmp_path / "bad.yaml"
    config.write_text("model_list: [\n")
    status, said = quickstart("--detach", "--config", str(config))
    assert status == 1
    assert "bad.yaml" in said and "did not start" in said
    assert quickstart("--status")[0] == 3


def test_a_stale_pid_file_harms_nobody(quickstart):
    quickstart.state.mkdir()
    bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        (quickstart.state / "weir.pid").write_text(f"{bystander.pid} {start_time(bystander.pid)} {quickstart.port} x\n")
        assert quickstart("--status")[0] == 3
        assert quickstart("--stop")[0] == 0
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_recycled_process_id_is_left_alone(quickstart):
    quickstart("--detach")
    pid_file = quickstart.state / "weir.pid"
    truth = pid_file.read_text()
    pid, since, rest = truth.split(" ", 2)
    pid_file.write_text(f"{pid} {int(since) - 1} {rest}")  # as of an earlier process of that number
    assert quickstart("--status")[0] == 3
    assert quickstart("--stop")[0] == 0
    assert processes_of(int(pid))
    pid_file.write_text(truth)


def test_what_a_killed_daemon_leaves_is_ended(quickstart):
    quickstart("--detach")
    session = quickstart.pid
    os.kill(session, signal.SIGKILL)
    assert processes_of(session), "workers go on serving"
    assert quickstart("--status")[0] == 3
    status, said = quickstart("--stop")
    assert status == 0 and "remaining processes" in said
    assert processes_of(session) == []


@pytest.mark.parametrize("options", [["--port", "0"], ["--port", "70000"], ["--config", "/nonexistent"],
                                     ["--nonsense"]])
def test_wrong_options_are_refused(quickstart, options):
    status, said = quickstart(*options)
    assert status == 1 and said.startswith("quickstart: ")
