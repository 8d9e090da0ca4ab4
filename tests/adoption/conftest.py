import json
import os
import subprocess
from pathlib import Path

import pytest
from support.controlplane import ControlPlane
from support.postgres import Postgres
from support.weir import MASTER_KEY

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / "build/parity/venv/bin/python"
SALT = "sk-a-salt-that-never-changes"


@pytest.fixture(scope="session")
def postgres():
    with Postgres() as pg:
        yield pg


@pytest.fixture(scope="session")
def steps():
    """Directories of the package's migrations, in the order they are applied."""
    found = sorted((PYTHON.parents[1] / "lib").glob("python*/site-packages/litellm_proxy_extras/migrations/*/migration.sql"))
    assert len(found) > 200
    return found


@pytest.fixture(scope="session")
def empty(postgres, steps):
    """What the package's migrations make, to be copied."""
    url = postgres.database()
    for step in steps:
        postgres.sql(url, step.read_text())
    return postgres.name(url)


@pytest.fixture(scope="session")
def made():
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LITELLM_MASTER_KEY": MASTER_KEY, "LITELLM_SALT_KEY": SALT,
           "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
    out = subprocess.run([PYTHON, Path(__file__).parent / "made_by_litellm.py"], env=env, capture_output=True, text=True, timeout=120)
    assert out.returncode == 0, out.stderr[-3000:]
    return json.loads(out.stdout)


@pytest.fixture
def litellms(postgres, empty, made):
    """A database with the schema of the package and rows of its functions."""
    url = postgres.database(template=empty)
    for table, rows in made.items():
        for row in rows if table.startswith("LiteLLM_") else ():
            names = ", ".join(f'"{n}"' for n in row)
            if "updated_at" not in row:  # the client library sets it, there is no default everywhere
                row = {**row, "updated_at": "2026-01-02T03:04:05"}
                names += ", updated_at" if has_column(postgres, url, table, "updated_at") else ""
            postgres.sql(url, f'INSERT INTO "{table}" ({names}) SELECT {names} FROM jsonb_populate_record(NULL::"{table}", %s::jsonb)',
                         json.dumps(row))  # fmt: skip
    return url


def has_column(postgres, url, table, column):
    return postgres.sql(url, "SELECT 1 FROM information_schema.columns WHERE table_name = %s AND column_name = %s", table, column)


@pytest.fixture
def start():
    started = []

    def start_(url, config=None, **kw):
        cp = ControlPlane(url, config, env={"LITELLM_SALT_KEY": SALT}, **kw)
        started.append(cp)
        return cp

    yield start_
    for cp in started:
        cp.stop()
