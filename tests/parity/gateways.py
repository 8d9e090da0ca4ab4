"""Starts the two gateways on one configuration."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import yaml
from support import http
from support.mock_provider import free_port
from support.weir import RELEASE, Weir

ROOT = pathlib.Path(__file__).resolve().parents[2]
VENV = ROOT / "build/parity/venv"
KEY = "sk-parity-6ZJw0Kq2x8Lm4Tn1Vb7Rc9Yd"
START_SECONDS = 120


class LiteLLM:
    """The pinned release, without a database, with the prices and capabilities it was packaged with."""

    def __init__(self, config):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="weir-parity-"))
        self.port = free_port()
        (self.dir / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "LITELLM_LOCAL_MODEL_COST_MAP": "True",
               "LITELLM_TELEMETRY": "False", "NO_PROXY": "*", "LITELLM_LOG": "ERROR"}  # fmt: skip
        argv = [VENV / "bin/litellm", "--config", self.dir / "config.yaml", "--host", "127.0.0.1", "--port", str(self.port)]
        self.log = self.dir / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(argv, env=env, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > end:
                said = self.log.read_text(errors="replace")[-3000:]
                self.stop()
                raise RuntimeError("LiteLLM does not start:\n" + said)
            time.sleep(0.2)

    def _ready(self):
        try:
            return http.call(self.port, "GET", "/health/readiness", timeout=5).status == 200
        except (OSError, EOFError):
            return False

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir)


def weir(config):
    """The build that is measured, unless WEIR_BUILD names another."""
    build = pathlib.Path(os.environ["WEIR_BUILD"]).resolve() if "WEIR_BUILD" in os.environ else RELEASE
    return Weir(config, build=build, key=KEY)


START = {"litellm": LiteLLM, "weir": weir}
