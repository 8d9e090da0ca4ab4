"""A data plane as the control plane sees one, without the data plane (plane_client.c).

    with Plane(cp.plane) as p:
        p.hello()
        p.sync()                    # everything, page by page
        p.entities["key"][hash]     # as JSON
        p.changes()                 # waits for the next ones
"""

import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path

from .weir import BUILD

PROGRAM = BUILD.parent / "tests" / "plane_client"
IDS = {
    "key": ("hash",), "team": ("id",), "user": ("id",), "member": ("team", "user"), "organization": ("id",),
    "project": ("id",), "end_user": ("id",), "tag": ("name",), "access_group": ("id",), "model": ("id",),
    "credential": ("name",), "setting": ("name",), "budget": ("id",), "group_budget": ("name",),
}  # fmt: skip


class Refused(Exception):
    pass


class Plane:
    def __init__(self, address, join=None, connect=True, **hello):
        """`join`: a decoded WEIR_JOIN."""
        argv = [str(PROGRAM), address]
        self.dir = tempfile.TemporaryDirectory(prefix="weir-plane-")
        if join:
            for name in ("ca", "cert", "key"):
                if name in join:
                    path = Path(self.dir.name) / name
                    path.write_text(join[name])
                    argv.append(str(path))
        self.hello_ = {"protocol": 1, "oldest": 1, "version": "0.1.0", "pod": os.urandom(16).hex(), "host": "plane",
                       "token": (join or {}).get("token", ""), **hello}  # fmt: skip
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.session, self.have = "", {"epoch": 0, "n": 0}
        self.entities = {kind: {} for kind in IDS}
        self.pages = []
        self.spool, self.totals_to = "", 0  # "": totals are not asked for
        self.totals, self.place = {}, None  # (kind, id) -> total; the last place
        self.connected = json.loads(self.process.stdout.readline())
        if connect:
            assert "error" not in self.connected, self.connected

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.dir.cleanup()

    def ask(self, request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise Refused(answer["error"])
        self.bytes = answer["bytes"]
        if "refusal" in answer["reply"]:
            raise Refused(answer["reply"]["refusal"]["why"])
        return answer["reply"]

    def hello(self, **changes):
        welcome = self.ask({"hello": {**self.hello_, **self.have, **changes}})["welcome"]
        self.session = welcome["session"]
        return welcome

    def status(self, **status):
        return self.ask({"status": {**status, **self.have}, "session": self.session})

    def page(self, cursor="", wait=False):
        asked = {**self.have, "cursor": cursor, "wait": wait, "spool": self.spool, "totals": self.totals_to}
        page = self.ask({"changes": asked, "session": self.session})["changes"]
        for t in page.get("totals", []):
            self.totals[t["kind"], t["id"], t.get("user", "")] = t
        if page.get("totals_to"):
            self.totals_to = page["totals_to"]
        if page.get("has_place"):
            self.place = (page.get("segment", 0), page.get("offset", 0))
        return page

    def changes(self, wait=True):
        """What is new, all pages of it, taken: (kind, entity, gone)."""
        page = self.page(wait=wait)
        full, took, self.pages = page.get("full", False), [], [self.bytes]
        while True:
            took += page.get("entities", [])
            if not page.get("cursor"):
                break
            page = self.page(page["cursor"])
            self.pages.append(self.bytes)
        if full:
            self.entities = {kind: {} for kind in IDS}
        out = []
        for e in took:
            kind = next(k for k in e if k != "gone")
            key = tuple(e[kind].get(i, "") for i in IDS[kind])
            key = key[0] if len(key) == 1 else key
            if e.get("gone"):
                self.entities[kind].pop(key, None)
            else:
                self.entities[kind][key] = e[kind]
            out.append((kind, e[kind], e.get("gone", False)))
        self.have = {"epoch": page["now"]["epoch"], "n": page["now"].get("n", 0)}
        self.full = full
        return out

    def sync(self):
        """Until nothing is new."""
        took = []
        while True:
            new = self.changes(wait=False)
            took += new
            if not new and not self.full:
                return took

    def next(self, kind=None):
        """The next change (of a kind), heartbeats and others passed over."""
        while True:
            for k, e, gone in self.changes():
                if kind in (None, k):
                    return k, e, gone

    def follow(self):
        """From here on a thread takes what comes, as a data plane would."""
        self.error = None

        def run():
            try:
                while True:
                    self.changes()
            except (Refused, ValueError, BrokenPipeError, json.JSONDecodeError) as e:
                self.error = e

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
