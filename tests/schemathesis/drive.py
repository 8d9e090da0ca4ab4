"""Starts a control plane on an empty database and lets schemathesis at what it says of itself."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.controlplane import ControlPlane  # noqa: E402
from support.postgres import Postgres  # noqa: E402

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


# No methods that are not described: PATCH /team/new is one of /team/{team_id}, which is not built yet.
CONFIG = "[phases.coverage]\nunexpected-methods = []\n"


def built(described):
    """Without what is answered 501."""
    del described["components"]["schemas"]["RegenerateKeyRequest"]["properties"]["new_master_key"]
    paths = {path: {method: op for method, op in ops.items() if "501" not in op["responses"]}
             for path, ops in described["paths"].items()}  # fmt: skip
    return {**described, "paths": {path: ops for path, ops in paths.items() if ops}}


def main(seconds="120", *more):
    with Postgres() as pg, tempfile.TemporaryDirectory() as dir_, \
            ControlPlane(pg.database(), {"general_settings": {"store_model_in_db": True}}) as cp:  # fmt: skip
        schema = Path(dir_) / "openapi.json"
        (Path(dir_) / "schemathesis.toml").write_text(CONFIG)
        schema.write_text(json.dumps(built(cp.get("/openapi.json").json)))
        argv = [str(Path(sys.executable).with_name("schemathesis")), "run", str(schema), "--url", f"http://127.0.0.1:{cp.port}",
                "-H", f"Authorization: Bearer {cp.key}", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
                "--max-time", seconds, "--continue-on-failure", "--request-timeout", "30", "--suppress-health-check", "all",
                *more]  # fmt: skip
        code = subprocess.run(argv, cwd=dir_, check=False).returncode
        faults = sorted({line.split(" ", 2)[2] for line in cp.log().splitlines() if " error " in line})
        print("\n".join(faults))
        return 1 if faults else code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
