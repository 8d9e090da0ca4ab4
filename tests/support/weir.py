"""Starts the data plane under test, and ends it with an inquest.

    with Weir({"model_list": [...]}) as w:
        w.post("/v1/chat/completions", {...})
        w.records(1)

WEIR_BUILD names the directory of weir-dataplane and weir-link (build/asan/dataplane). Logs stay in `w.dir`; what must
hold of every run (exit 0, no sanitizer report, no process left, no secret in a log) is asserted by stop().
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from . import http
from .mock_provider import free_port

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("WEIR_BUILD", ROOT / "build/asan/dataplane")).resolve()
RELEASE = Path(os.environ.get("WEIR_RELEASE_BUILD", ROOT / "build/release/dataplane")).resolve()
MASTER_KEY = "sk-master-6ZJw0Kq2"
SECRET = re.compile(r"sk-[A-Za-z0-9_-]{6,}")
SANITIZER = re.compile(r"AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|ThreadSanitizer")


def yaml(value, indent=0):
    """Block style, as people write it: one key a line."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(
            f"{pad}{_scalar(k)}:" + (f"\n{yaml(v, indent + 1)}" if _is_block(v) else f" {_scalar(v)}\n")
            for k, v in value.items()
        )
    if isinstance(value, list) and value:
        return "".join(
            f"{pad}- {yaml(v, indent + 1).lstrip()}" if _is_block(v) else f"{pad}- {_scalar(v)}\n" for v in value
        )
    return f"{pad}{_scalar(value)}\n"


def _is_block(v):
    return isinstance(v, (dict, list)) and bool(v)


def _scalar(v):
    if isinstance(v, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", v) and v not in ("true", "false", "null", "no", "yes", "on", "off"):
        return v
    return json.dumps(v, ensure_ascii=False)


def program(name, build=None):
    path = (build or BUILD) / name
    assert path.exists(), f"{path} is missing: build it with deploy/build, or set WEIR_BUILD"
    return str(path)


def run(name, *args, env=None, build=None, timeout=30):
    """A program to its end: (exit status, stdout, stderr)."""
    p = subprocess.run([program(name, build), *map(str, args)], capture_output=True, text=True, timeout=timeout,
                       env={"PATH": os.environ["PATH"], **(env or {})}, check=False)  # fmt: skip
    return p.returncode, p.stdout, p.stderr


class Weir:
    def __init__(self, config, *, workers=1, env=None, build=None, key=MASTER_KEY, wait=True, ulimit=None):
        """`config`: a dict, or YAML text with {port}-free content. master_key, access_log are added to a dict."""
        self.build = build or BUILD
        self.dir = Path(tempfile.mkdtemp(prefix="weir-test-"))
        self.state, self.run_dir = self.dir / "state", self.dir / "run"
        self.state.mkdir(mode=0o700)
        self.run_dir.mkdir(mode=0o700)
        self.access_log = self.dir / "access.log"
        self.stderr = self.dir / "stderr"
        self.config = self.dir / "config.yaml"
        self.key = key
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.write_config(config)
        self.env = {
            "PATH": os.environ["PATH"], "WEIR_STATE_DIR": str(self.state), "WEIR_RUN_DIR": str(self.run_dir),
            "NUM_WORKERS": str(workers), "UBSAN_OPTIONS": "print_stacktrace=1",
            **{n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")}, **(env or {}),
        }  # fmt: skip
        self.secrets = set(SECRET.findall(self.config.read_text() + json.dumps(self.env)))
        argv = [program("weir-dataplane", self.build), "--config", str(self.config), "--port", str(self.port)]
        with self.stderr.open("ab") as log:
            self.process = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.dir)  # fmt: skip
        self.pid = self.process.pid
        self._seen = {}
        self._stopped = False
        if wait:
            try:
                self.wait_ready(workers)
            except BaseException:
                self.kill()
                raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.kill()
        else:
            self.stop()

    def write_config(self, config):
        if isinstance(config, dict):
            config = {**config}
            if self.key:
                config["general_settings"] = {"master_key": self.key, **config.get("general_settings", {})}
            config["weir"] = {"access_log": str(self.access_log), **config.get("weir", {})}
            config = yaml(config)
        new = self.config.with_suffix(".new")
        new.write_text(config)
        new.rename(self.config)
        if hasattr(self, "secrets"):
            self.secrets |= set(SECRET.findall(config))

    def log(self):
        return self.stderr.read_text(errors="replace")

    # --- waiting

    def wait(self, true, timeout=10.0, what="condition"):
        end = time.monotonic() + timeout
        while not (got := true()):
            assert time.monotonic() < end, f"{what}: not within {timeout} s\n{self.tail()}"
            time.sleep(0.01)
        return got

    def tail(self):
        return f"--- {self.stderr}\n" + "\n".join(self.log().splitlines()[-30:])

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"weir-dataplane ended with {self.process.returncode}\n{self.tail()}")
        with contextlib.suppress(OSError, EOFError):
            return http.call(self.port, "GET", "/health/readiness", timeout=2).status == 200
        return False

    def wait_ready(self, workers=1, timeout=20.0):
        self.wait(self.is_ready, timeout, "readiness")
        if workers > 1:  # one that is not up yet may be stopped unnoticed for longer
            self.wait(lambda: self.metrics()["weir_workers"] >= workers, timeout, f"{workers} workers")

    # --- processes

    def _children(self):
        """pid -> (start time, argv) of the manager's children."""
        found = {}
        for d in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                fields = (d / "stat").read_text().rpartition(") ")[2].split()
                if int(fields[1]) == self.pid and fields[0] not in "ZX":
                    argv = (d / "cmdline").read_bytes().split(b"\0")
                    found[int(d.name)] = (int(fields[19]), argv)
        self._seen.update(found)
        return found

    def link(self):
        pids = [p for p, (_, argv) in self._children().items() if argv[0].endswith(b"weir-link")]
        return pids[0] if pids else None

    def workers(self):
        return sorted(p for p, (_, argv) in self._children().items() if not argv[0].endswith(b"weir-link"))

    def _alive(self, pid, start):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            return int(fields[19]) == start and fields[0] not in "ZX"
        return False

    # --- ending

    def stop(self, timeout=20.0, keep=False):
        """Ends it, within moments by a second TERM, and asserts what must hold of every run."""
        if self._stopped:
            return
        self._children()
        cut = self.process.poll() is None and self.terminate()
        self.inquest(timeout, (0, 1) if cut else (0,), keep)

    def terminate(self, patience=0.5):
        """TERM, and a second one when the draining takes longer than `patience`: then True."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(patience)
            return False
        self.process.send_signal(signal.SIGTERM)
        return True

    def inquest(self, timeout=20.0, codes=(0,), keep=False):
        """Of a process that is ending: its exit status, its children, its logs."""
        self._stopped = True
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"weir-dataplane does not end\n{self.tail()}") from None
        self.wait(lambda: not any(self._alive(p, s) for p, (s, _) in self._seen.items()), 5, "the children's end")
        assert not SANITIZER.search(self.log()), self.tail()
        assert code in codes, f"exit status {code}\n{self.tail()}"
        self.assert_no_secret()
        if not keep:
            shutil.rmtree(self.dir)

    def kill(self):
        """After a failure: no questions, the logs stay."""
        self._stopped = True
        children = self._children()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid, (start, _) in children.items():
            if self._alive(pid, start):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        print(self.tail())

    def assert_no_secret(self, *more):
        """No secret of configuration or environment lies in anything written but the configuration itself."""
        for path in self.dir.rglob("*"):
            if path.is_file() and path != self.config and self.run_dir not in path.parents:
                data = path.read_bytes()
                for secret in (*self.secrets, *more):
                    assert secret.encode() not in data, f"{secret} in {path}"

    # --- talking to it

    def call(self, method, path, body=None, key=..., headers=(), timeout=30.0):
        """`body`: bytes, or what becomes JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode()
        return http.call(self.port, method, path, self.key if key is ... else key, body, headers, timeout)

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body, **kw):
        return self.call("POST", path, body, **kw)

    def client(self, timeout=10.0):
        return http.Client(self.port, timeout)

    def request(self, method, path, body=None, key=..., headers=()):
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode()
        return http.request(method, path, self.key if key is ... else key, body, headers)

    # --- what it wrote

    def spool(self):
        """All usage records, oldest first."""
        code, out, err = run("weir-link", "--spool", self.state / "spool", build=self.build)
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def records(self, n, timeout=10.0):
        """Exactly n usage records, waiting for them."""
        self.wait(lambda: len(self.spool()) >= n, timeout, f"{n} usage records")
        got = self.spool()
        assert len(got) == n, got
        return got

    def access(self, n=None, timeout=10.0):
        """Access lines but those of health; with n exactly that many, waiting for them."""

        def lines():
            text = self.access_log.read_text() if self.access_log.exists() else ""
            whole = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
            return [line for line in whole if not line["route"].startswith("/health")]

        if n is not None:
            self.wait(lambda: len(lines()) >= n, timeout, f"{n} access lines")
            assert len(lines()) == n, lines()
        return lines()

    def metrics(self):
        """name{labels} -> value."""
        reply = self.get("/metrics")
        assert reply.status == 200
        values = {}
        for line in reply.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                assert name not in values, line
                values[name] = float(value)
        return values
