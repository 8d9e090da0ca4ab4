"""Runs the scripts of tests/integration/node with the pinned Node beside their packages."""

import json
import re
import shutil
import subprocess

from .weir import ROOT

SCRIPTS = ROOT / "tests/integration/node"
MODULES = ROOT / "build/node/node_modules"
# The SDKs want a newer Node than Debian's; its package for this machine is pinned beside them.
NODE = str(next(MODULES.glob("node-linux-*/bin/node"), "node"))
SCENARIO = re.compile(r"^  async (\w+)\(", re.M)


def scenarios(name):
    return SCENARIO.findall((SCRIPTS / f"{name}.mjs").read_text())


def place(directory):
    """The scripts beside their packages: modules are looked for from the importing file upwards."""
    for f in SCRIPTS.glob("*.mjs"):
        shutil.copy(f, directory)
    (directory / "node_modules").symlink_to(MODULES)
    return directory


def play(directory, name, *args, timeout=120):
    """Scenario -> result, of all in one process."""
    argv = [NODE, directory / f"{name}.mjs", *args]
    p = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    assert p.returncode == 0, p.stderr
    return json.loads(p.stdout)
