"""The Node SDKs, unmodified: each file of node/ plays its scenarios in one process; a test looks at one scenario."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent / "node"
MODULES = HERE.parents[2] / "build/node/node_modules"
# The SDKs want a newer Node than Debian's; its package for this machine is pinned beside them.
NODE = next(MODULES.glob("node-linux-*/bin/node"), "node")
SCENARIO = re.compile(r"^  async (\w+)\(\)", re.M)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The scripts beside their packages: modules are looked for from the importing file upwards."""
    directory = tmp_path_factory.mktemp("node")
    for f in HERE.glob("*.mjs"):
        shutil.copy(f, directory)
    (directory / "node_modules").symlink_to(MODULES)
    return directory


@pytest.fixture(scope="module")
def played():
    return {}


@pytest.mark.parametrize(
    "name,scenario",
    [(n, s) for n in ("openai", "anthropic") for s in SCENARIO.findall((HERE / f"{n}.mjs").read_text())],
)
def test_node(name, scenario, endpoint, scripts, played):
    if name not in played:
        argv = [NODE, scripts / f"{name}.mjs", endpoint.url, endpoint.key]
        p = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        assert p.returncode == 0, p.stderr
        played[name] = json.loads(p.stdout)
    result = played[name][scenario]
    assert "error" not in result, result["stack"]
