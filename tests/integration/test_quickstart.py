"""deploy/quickstart as a person uses it, on the release build."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest
from support import http
from support.postgres import Postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/release/dataplane"))

pytestmark = [
    pytest.mark.release,
    pytest.mark.skipif(BUILD.parent.name != "release", reason="quickstart runs the release build"),
]


def free_port():
    """One with a free one behind it, for the control plane."""
    while True:
        with socket.socket() as s, socket.socket() as t:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
            try:
                t.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


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


def processes_below(directory):
    """Those that were started with a path below it, or work there."""
    found = []
    for proc in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            state = (proc / "stat").read_text().rpartition(")")[2].split()[0]
            said = (proc / "cmdline").read_bytes().decode(errors="replace") + os.readlink(proc / "cwd")
        except OSError:
            continue
        if str(directory) in said and state not in "ZX":
            found.append(int(proc.name))
    return found


def start_time(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


class Quickstart:
    """One state directory and port; whatever still runs is ended with the test."""

    def __init__(self, state):
        self.state, self.port = state, free_port()
        self.env = {k: v for k, v in os.environ.items()
                    if not re.search(r"(_API_KEY|_API_BASE|_AUTH_TOKEN|MASTER_KEY|SALT_KEY|DATABASE_URL)$", k)}

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
        return self.pid_of("weir")

    def pid_of(self, part):
        return int((self.state / f"{part}.pid").read_text().split()[0])

    @property
    def key(self):
        return (self.state / "master-key").read_text().strip()

    def call(self, method, path, body=None, port=None):
        body = None if body is None else json.dumps(body).encode()
        return http.call(port or self.port, method, path, self.key, body)

    def chat(self):
        return self.call("POST", "/v1/chat/completions", {"model": "mock", "messages": [{"role": "user", "content": "x"}]})

    def foreground(self, **kw):
        """The script in a session of its own, up to where it says how to stop it."""
        script = subprocess.Popen(self.command(), env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, start_new_session=True, **kw)
        for line in script.stdout:
            if "Ctrl-C" in line:
                return script
        raise AssertionError(f"it ended with {script.wait()}")

    def curl_line(self, said):
        return next(line for line in said.splitlines() if line.strip().startswith("curl "))


@pytest.fixture
def quickstart():
    base = pathlib.Path(tempfile.mkdtemp(prefix="weir-qs-"))
    base.chmod(0o755)  # PostgreSQL's user goes through it
    one = Quickstart(base / "state")
    yield one
    one("--stop")
    assert processes_below(one.state) == []
    shutil.rmtree(base)


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
    script = quickstart.foreground(preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    session = quickstart.pid
    assert processes_of(session)
    assert len(processes_below(quickstart.state)) > 4  # PostgreSQL and its own, two planes
    os.killpg(script.pid, signum)
    assert script.wait(30) == 128 + signum
    assert processes_of(session) == []
    assert processes_below(quickstart.state) == []
    assert list(quickstart.state.glob("*.pid")) == []
    script.stdout.close()


def test_the_key_is_private(quickstart):
    _, said = quickstart("--detach")
    key = (quickstart.state / "master-key").read_text().strip()
    assert re.fullmatch(r"sk-[A-Za-z0-9_-]{32}", key)
    assert key in quickstart.curl_line(said)
    assert (quickstart.state / "master-key").stat().st_mode & 0o777 == 0o600
    assert (quickstart.state / "salt-key").stat().st_mode & 0o777 == 0o600
    assert quickstart.state.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
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


@pytest.mark.parametrize("options", [["--port", "0"], ["--port", "65535"], ["--port", "70000"], ["--config", "/nonexistent"],
                                     ["--nonsense"]])
def test_wrong_options_are_refused(quickstart, options):
    status, said = quickstart(*options)
    assert status == 1 and said.startswith("quickstart: ")


# ---- the control plane and its database


def line_after(said, start):
    return next(line for line in said.splitlines() if line.strip().startswith(start))


def pasted(line):
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_other_lines_work_as_pasted(quickstart):
    _, said = quickstart("--detach")
    made = json.loads(pasted(line_after(said, f"curl http://127.0.0.1:{quickstart.port}/key/generate")))
    assert made["key"].startswith("sk-") and made["max_budget"] == 10
    assert made["token"] in pasted(line_after(said, "build/release/controlplane/weirctl"))


def test_three_programs_by_one_port(quickstart):
    quickstart("--detach")
    status, said = quickstart("--status")
    assert status == 0
    for part in ("controlplane", "postgres"):
        assert f"pid {quickstart.pid_of(part)}" in said
    assert quickstart.call("GET", "/team/list").json == []
    assert quickstart.call("GET", "/team/list", port=quickstart.port + 1).json == []
    assert quickstart.call("GET", "/openapi.json").status == 200


def test_the_database_is_private_checked_and_kept(quickstart):
    quickstart("--detach")
    pids = {quickstart.pid_of("postgres"), *processes_below(quickstart.state / "pg")}
    inodes = set()
    for pid in pids:
        for fd in pathlib.Path(f"/proc/{pid}/fd").glob("*"):
            link = os.readlink(fd)
            inodes |= {link[8:-1]} if link.startswith("socket:[") else set()
    for table in ("tcp", "tcp6"):
        lines = pathlib.Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        assert not {line.split()[9] for line in lines} & inodes, "no TCP"
    assert (quickstart.state / "pg").stat().st_mode & 0o777 == 0o700
    control = next(pathlib.Path("/usr/lib/postgresql").glob("*/bin/pg_controldata"))
    said = subprocess.run([control, quickstart.state / "pg/data"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"Data page checksum version: +1", said)
    token = quickstart.call("POST", "/key/generate", {"key_alias": "kept"}).json["token"]
    quickstart("--stop")
    quickstart("--detach")
    assert quickstart.call("GET", f"/key/info?key={token}").json["info"]["key_alias"] == "kept"


@pytest.mark.parametrize("part", ["controlplane", "postgres"])
def test_models_are_served_while_another_part_is_dead_and_a_start_brings_it_back(quickstart, part):
    quickstart("--detach")
    os.kill(quickstart.pid_of(part), signal.SIGKILL)
    assert quickstart.chat().status == 200
    for _ in range(50):  # a backend of a dead server answers until it notices
        if quickstart.call("POST", "/key/generate", {}).status == 503:
            break
        time.sleep(0.1)
    assert quickstart.call("POST", "/key/generate", {}).status == 503
    assert quickstart.chat().status == 200
    status, said = quickstart("--status")
    assert status == 0 and re.search("(Control plane|PostgreSQL) is not running", said)
    pid = quickstart.pid
    status, said = quickstart("--detach")
    assert status == 0 and "already runs" in said and quickstart.pid == pid
    for _ in range(50):
        if (reply := quickstart.call("POST", "/key/generate", {})).status == 200:
            break
        time.sleep(0.1)
    assert reply.status == 200, reply.body


def test_in_the_foreground_a_part_that_dies_before_anybody_waits_is_told_once(quickstart):
    script = subprocess.Popen(quickstart.command(), env=quickstart.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, start_new_session=True)  # fmt: skip
    while not (quickstart.state / "weir.pid").exists():
        time.sleep(0.002)
    os.kill(quickstart.pid_of("controlplane"), signal.SIGKILL)
    assert any("beside Weir ended" in line for line in script.stdout)
    assert quickstart.chat().status == 200
    time.sleep(0.5)
    assert script.poll() is None
    os.kill(script.pid, signal.SIGTERM)
    rest = script.stdout.read()
    assert script.wait(30) == 143, rest
    assert "beside Weir ended" not in rest


def test_in_the_foreground_a_part_that_dies_is_told(quickstart):
    script = quickstart.foreground()
    os.kill(quickstart.pid_of("controlplane"), signal.SIGKILL)
    assert any("beside Weir ended" in line for line in script.stdout)
    assert quickstart.chat().status == 200
    os.kill(script.pid, signal.SIGTERM)
    status = script.wait(30)
    assert status == 143, script.stdout.read()
    script.stdout.close()


def test_a_killed_script_takes_everything_with_it(quickstart):
    script = quickstart.foreground()
    script.kill()
    script.wait()
    end = time.monotonic() + 20
    while processes_below(quickstart.state) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_below(quickstart.state) == []
    script.stdout.close()


@pytest.fixture
def postgres():
    with Postgres() as pg:
        yield pg


def test_a_database_of_ones_own(quickstart, postgres):
    url = postgres.database()
    status, said = quickstart("--detach", DATABASE_URL=url)
    assert status == 0, said
    assert not (quickstart.state / "pg").exists() and not (quickstart.state / "salt-key").exists()
    quickstart.call("POST", "/team/new", {"team_id": "mine"})
    assert postgres.sql(url, 'SELECT team_id FROM "LiteLLM_TeamTable"') == [("mine",)]
    assert "PostgreSQL" not in quickstart("--status")[1]


def test_one_that_litellm_made_is_adopted_when_asked(quickstart, postgres):
    url = postgres.database()
    postgres.sql(url, (ROOT / "controlplane/store/migrations/0001_litellm.sql").read_text())
    status, said = quickstart("--detach", DATABASE_URL=url)
    assert status == 1 and "--adopt" in said
    assert postgres.sql(url, "SELECT 1 FROM pg_namespace WHERE nspname = 'weir'") == [], "nothing was changed"
    status, said = quickstart("--detach", "--adopt", DATABASE_URL=url)
    assert status == 0 and "no table, column or index of theirs changes" in said
    quickstart("--stop")
    assert quickstart("--detach", DATABASE_URL=url)[0] == 0, "and from then on by itself"


def test_a_port_in_use_beside_it_is_named(quickstart):
    with socket.socket() as s:
        s.bind(("127.0.0.1", quickstart.port + 1))
        s.listen()
        status, said = quickstart("--detach")
    assert status == 1
    assert f"port {quickstart.port + 1} is already used" in said
    assert processes_below(quickstart.state) == []
