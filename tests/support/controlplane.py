"""Starts the control plane under test on a database, and ends it with an inquest.

    with ControlPlane(pg.database(), {...}) as cp:
        cp.post("/key/generate", {"key_alias": "a"}).json
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
from .weir import BUILD, MASTER_KEY, SANITIZER, SECRET, yaml

PROGRAM = BUILD.parent / "controlplane" / "weir-controlplane"
STORE = {"general_settings": {"store_model_in_db": True}}


class ControlPlane:
    def __init__(self, database, config=None, *, env=None, args=(), wait=True):
        assert PROGRAM.exists(), f"{PROGRAM} is missing: build it with deploy/build"
        self.dir = Path(tempfile.mkdtemp(prefix="weir-cp-"))
        self.database = database
        self.port = free_port()
        self.key = MASTER_KEY
        self.plane = f"ipc://{self.dir}/plane.sock"
        self.stderr = self.dir / "stderr"
        self.config = self.dir / "config.yaml"
        config = {"model_list": [], **(config or {})}
        config["general_settings"] = {"master_key": MASTER_KEY, **config.get("general_settings", {})}
        self.config.write_text(yaml(config))
        self.env = {
            "PATH": os.environ["PATH"], "DATABASE_URL": database, "WEIR_RUN_DIR": str(self.dir), "UBSAN_OPTIONS": "print_stacktrace=1", "WEIR_CORES": "1",
            **{n: v for n, v in os.environ.items() if n.endswith("SAN_OPTIONS")}, **(env or {}),
        }  # fmt: skip
        argv = [str(PROGRAM), "--config", str(self.config), "--port", str(self.port), *args]
        with self.stderr.open("ab") as log:
            self.process = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.dir)  # fmt: skip
        self._secrets = {MASTER_KEY}
        self._stopped = False
        if wait:
            try:
                self.wait_ready()
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

    def log(self):
        return self.stderr.read_text(errors="replace")

    def tail(self):
        return f"--- {self.stderr}\n" + "\n".join(self.log().splitlines()[-40:])

    def wait(self, true, timeout=20.0, what="condition"):
        end = time.monotonic() + timeout
        while not (got := true()):
            assert time.monotonic() < end, f"{what}: not within {timeout} s\n{self.tail()}"
            time.sleep(0.02)
        return got

    def is_ready(self):
        assert self.process.poll() is None, f"weir-controlplane ended with {self.process.returncode}\n{self.tail()}"
        with contextlib.suppress(OSError, EOFError):
            return http.call(self.port, "GET", "/health/readiness", timeout=2).status == 200
        return False

    def wait_ready(self, timeout=60.0):
        self.wait(self.is_ready, timeout, "readiness")

    def stop(self, keep=False):
        if self._stopped:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.inquest(keep=keep)

    def inquest(self, codes=(0,), keep=False):
        self._stopped = True
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"weir-controlplane does not end\n{self.tail()}") from None
        assert not SANITIZER.search(self.log()), self.tail()
        assert code in codes, f"exit status {code}\n{self.tail()}"
        for secret in self._secrets:
            assert secret not in self.log(), f"{secret} in the log"
        if not keep:
            shutil.rmtree(self.dir)

    def crash(self):
        """Ends it at once; an inquest all the same."""
        self.process.kill()
        self.inquest((-signal.SIGKILL,))

    def kill(self):
        """After a failure: no questions, the log stays."""
        self._stopped = True
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.dir.exists():
            print(self.tail())

    # --- talking to it

    def call(self, method, path, body=None, key=..., headers=(), timeout=30.0):
        """`body`: bytes, or what becomes JSON."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body, ensure_ascii=False).encode()
        reply = http.call(self.port, method, path, self.key if key is ... else key, body, headers, timeout)
        self._secrets.update(re.findall(SECRET, reply.body.decode(errors="replace")) if reply.status == 200 else ())
        return reply

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.call("POST", path, {} if body is None else body, **kw)
