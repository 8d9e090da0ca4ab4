"""A control plane played by the test: the session's messages over nng's wire, with every fault at hand.

    with Plane(path) as plane:
        plane.put(a=model("m1", "gpt", {...}))

It answers as the real one does unless `plane.answer` says otherwise: a function from the request (a dict) to bytes, to
None for the usual answer, or to SILENCE.
"""

import contextlib
import json
import os
import socket
import struct
import threading
import time

SILENCE = object()
REQ, REP = 0x30, 0x31  # SP protocol numbers
HEARTBEAT = 0.5
FIRST_TOTALS = 1000  # position of the first totals


# --- protobuf, as much as is needed


def varint(n):
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def message(fields):
    """{number: int | bytes | str | dict | list of those} to bytes."""
    out = bytearray()
    for number, value in fields.items():
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, bool | int):
                out += varint(number << 3) + varint(int(v))
                continue
            v = message(v) if isinstance(v, dict) else v.encode() if isinstance(v, str) else v
            out += varint(number << 3 | 2) + varint(len(v)) + v
    return bytes(out)


def parse(data):
    """bytes to {number: [int | bytes, ...]}."""
    fields, at = {}, 0

    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return n

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            value = number()
        elif tag & 7 == 2:
            length = number()
            value = data[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {tag & 7}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def first(fields, number, default=b""):
    return fields.get(number, [default])[0]


# --- the messages of proto/weir.proto


def revision(r):
    return {1: r[0], 2: r[1]}


def model(ident, name, params, info=None, *, admin=True, blocked=False):
    return {10: {1: ident, 2: name, 3: json.dumps(params), 4: json.dumps(info or {}), 5: blocked, 6: admin}}


def credential(name, values):
    return {11: {1: name, 2: json.dumps(values), 3: "{}"}}


def setting(name, value):
    return {12: {1: name, 2: json.dumps(value)}}


def team(ident, **members):
    return {2: {1: ident, **members}}


def key(digest, **members):
    return {1: {1: digest, 2: "sk-...test", **members}}


def gone(entity):
    return {**entity, 15: True}


def welcome(session, protocol=1, heartbeat_ms=int(HEARTBEAT * 1000), totals=True):
    return message({1: {1: protocol, 2: "test", 3: session, 5: heartbeat_ms, 6: totals}})


def changes(now, entities=(), *, full=False, cursor=b"", totals=(), totals_to=0, place=None):
    told = {5: list(totals), 6: totals_to, **({7: True, 8: place[0], 9: place[1]} if place else {})} if totals_to else {}
    return message({2: {1: revision(now), 2: full, 3: list(entities), 4: cursor, **told}})


KINDS = ["", "key", "team", "user", "member", "organization", "project", "end_user", "tag"] + [""] * 5 + ["group_budget"]


def total(kind, ident, spend, *, reset=0, user=b""):
    """Spend in dollars; `reset`: when its period ends, wall seconds."""
    return {1: KINDS.index(kind), 2: ident, 3: user, 4: round(spend * 1e9), 5: round(reset * 1e6)}


UNKNOWN_REQUEST, EXPIRED, FORBIDDEN, NO_PROTOCOL, AWAY, MALFORMED = range(6)


def refusal(why, text="as the test has it"):
    return message({3: {1: why, 2: text}})


STATUS_TAKEN = message({4: {}})
TRANSCRIPTS_TAKEN = message({6: {}})


def usage_taken(place):
    return message({5: {1: place[0], 2: place[1]}})


def usage_records(data):
    """The records of a batch: the fields of each UsageRecord by number, and "id", which tells them apart."""
    out, at = [], 0
    while at < len(data):
        length, kind, version, epoch, region, seq = struct.unpack_from("<IBBQIQ", data, at)
        assert kind == 1 and version == 1 and at + length <= len(data)
        out.append({"id": (epoch, region, seq), **parse(data[at + 26 : at + length - 4])})
        at += length
    return out


def usage(data):
    u = parse(data)
    return {"spool": first(u, 1), "from": (first(u, 2, 0), first(u, 3, 0)), "records": first(u, 4),
            "next": (first(u, 5, 0), first(u, 6, 0)), "after": (first(u, 7, 0), first(u, 8, 0))}  # fmt: skip


class Ledger:
    """What a control plane has of spools: cursors, and the records it counted, once each."""

    def __init__(self):
        self.cursors, self.records, self.gaps, self.batches = {}, [], [], []
        self.lock = threading.Lock()

    def take(self, r):
        """Where the spool then stands."""
        with self.lock:
            return [self._take(b) for b in r["batches"]][-1]

    def _take(self, b):
        begin, end = b["from"], b["next"]
        cursor = self.cursors.get(b["spool"], (0, 0))
        if begin < cursor or cursor < b["after"] or (begin, end) == ((0, 0), (0, 0)):
            return cursor
        if begin > cursor:
            self.gaps.append((cursor, begin))
        self.batches.append(b)
        self.records += usage_records(b["records"])
        self.cursors[b["spool"]] = end
        return end

    def fall_back(self, batches):
        """To what it was behind so many of them: the rest is lost."""
        with self.lock:
            (spool,) = self.cursors
            self.batches = self.batches[:batches]
            self.records = [r for b in self.batches for r in usage_records(b["records"])]
            self.cursors[spool] = self.batches[-1]["next"] if batches else (0, 0)

    def ids(self):
        with self.lock:
            return [first(r, 1).decode() for r in self.records]


def request(data):
    """What was asked, as a dict with "kind"."""
    r = parse(data)
    session = first(r, 15)
    if 1 in r:
        h = parse(r[1][0])
        have = parse(first(h, 8))
        return {"kind": "hello", "protocol": first(h, 1, 0), "oldest": first(h, 2, 0), "pod": first(h, 4),
                "host": first(h, 5).decode(), "config_hash": first(h, 6).decode(), "token": first(h, 7).decode(),
                "have": (first(have, 1, 0), first(have, 2, 0)), "session": session}  # fmt: skip
    if 2 in r:
        c = parse(r[2][0])
        have = parse(first(c, 1))
        return {"kind": "changes", "have": (first(have, 1, 0), first(have, 2, 0)), "cursor": first(c, 2),
                "wait": bool(first(c, 3, 0)), "spool": first(c, 4), "totals": first(c, 5, 0), "session": session}  # fmt: skip
    if 4 in r or 5 in r:
        each = [usage(data) for data in (r[4] if 4 in r else parse(r[5][0])[1])]
        return {"kind": "usage", "batches": each, "session": session, "from": each[0]["from"],
                "records": b"".join(b["records"] for b in each)}  # fmt: skip
    if 6 in r:
        each = [parse(t) for t in parse(r[6][0]).get(1, [])]
        return {"kind": "transcripts", "session": session, "transcripts": [(first(t, 1), first(t, 4)) for t in each]}
    s = parse(first(r, 3))
    return {"kind": "status", "workers": first(s, 1, 0), "entities": first(s, 6, 0), "error": first(s, 9).decode(),
            "resident_bytes": first(s, 5, 0), "draining": bool(first(s, 8, 0)), "unshipped_bytes": first(s, 10, 0), "unshipped_ms": first(s, 11, 0),
            "spool_full": bool(first(s, 12, 0)), "session": session}  # fmt: skip


class Plane:
    """At a socket's path, or with `tls` (an ssl.SSLContext) at a port of its own."""

    def __init__(self, path=None, *, tls=None, epoch=7, page=100, entities=None):
        self.path, self.tls, self.epoch, self.page = path and str(path), tls, epoch, page
        self.n = 1
        self.entities = dict(entities or {})  # name -> entity
        self.ledger = Ledger()
        self.log = []  # (n, entity): what changed when
        self.told = []  # (position, totals, place)
        self.seen = []  # requests
        self.answer = None
        self.connections = []
        self.changed = threading.Condition()
        self.closed = False
        if tls:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.address = f"tls+tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        else:
            self._unlink()
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(self.path)
            self.listener.listen(16)
            self.address = f"ipc://{self.path}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # --- what the test does

    @property
    def now(self):
        return (self.epoch, self.n)

    def put(self, **entities):
        """Entities by a name of the test's; None: gone."""
        with self.changed:
            self.n += 1
            for name, entity in entities.items():
                before = self.entities.pop(name, None)
                if entity is None:
                    self.log.append((self.n, gone(before)))
                else:
                    self.entities[name] = entity
                    self.log.append((self.n, entity))
            self.changed.notify_all()
        return self.now

    def tell(self, *totals, place=None):
        """Totals, and up to where in its spool they hold what the data plane has recorded."""
        with self.changed:
            self.told.append((FIRST_TOTALS + len(self.told), list(totals), place))
            self.changed.notify_all()
        return self.told[-1][0]

    def restart_epoch(self, epoch):
        with self.changed:
            self.epoch, self.n, self.log = epoch, 1, []
            self.changed.notify_all()

    def asked(self, kind):
        return [r for r in self.seen if r["kind"] == kind]

    def acknowledged(self):
        """The newest revision a ChangesSince named."""
        return max((r["have"] for r in self.asked("changes") if r["have"][0] == self.epoch), default=(0, 0))

    def cut(self):
        for c in list(self.connections):
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.closed = True
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()
        self._unlink()

    def _unlink(self):
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    # --- the wire: 8 bytes of greeting, then type (not over TCP), length, and request ids before the body

    def _accept(self):
        while not self.closed:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(c,), daemon=True).start()

    def _serve(self, c):
        self.connections.append(c)
        with contextlib.suppress(OSError, EOFError):
            if self.tls:
                c = self.tls.wrap_socket(c, server_side=True)
                self.connections.append(c)
            c.sendall(b"\0SP\0" + struct.pack(">HH", REP, 0))
            assert _exactly(c, 8)[4:6] == struct.pack(">H", REQ)
            while True:
                if not self.tls:
                    assert _exactly(c, 1) == b"\1"
                data = _exactly(c, struct.unpack(">Q", _exactly(c, 8))[0])
                body = 4  # ids, the last one with its high bit set
                while not data[body - 4] & 0x80:
                    body += 4
                threading.Thread(target=self._reply, args=(c, data[:body], data[body:]), daemon=True).start()
        c.close()

    def _reply(self, c, ids, data):
        r = request(data)
        self.seen.append(r)
        answer = self.answer(r) if self.answer else None
        if answer is None:
            answer = self._usual(r)
        if answer is SILENCE:
            return
        head = (b"" if self.tls else b"\1") + struct.pack(">Q", len(ids) + len(answer))
        with contextlib.suppress(OSError):
            c.sendall(head + ids + answer)

    def _usual(self, r):
        if r["kind"] == "hello":
            return welcome(b"0123456789abcdef")
        if r["kind"] == "status":
            return STATUS_TAKEN
        if r["kind"] == "usage":
            return usage_taken(self.ledger.take(r))
        if r["kind"] == "transcripts":
            return TRANSCRIPTS_TAKEN
        with self.changed:
            if r["cursor"] or r["have"][0] != self.epoch or not r["have"][1]:
                return self._full(int(r["cursor"] or b"0"))
            end = time.monotonic() + HEARTBEAT
            while r["wait"] and r["have"] == self.now and not self._untold(r) and time.monotonic() < end:
                self.changed.wait(end - time.monotonic())
            if r["have"][0] != self.epoch:
                return self._full(0)
            if r["have"] == self.now and (untold := self._untold(r)):
                return changes(self.now, totals=[t for _, ts, _ in untold for t in ts], totals_to=untold[-1][0],
                               place=untold[-1][2])  # fmt: skip
            return changes(self.now, [e for n, e in self.log if n > r["have"][1]])

    def _untold(self, r):
        return [t for t in self.told if t[0] > r["totals"]] if r["spool"] else []

    def _full(self, at):
        entities = list(self.entities.values())
        cursor = str(at + self.page).encode() if at + self.page < len(entities) else b""
        return changes(self.now, entities[at : at + self.page], full=True, cursor=cursor)


def _exactly(c, n):
    data = b""
    while len(data) < n:
        got = c.recv(n - len(data))
        if not got:
            raise EOFError
        data += got
    return data


class Fault:
    """Between a data plane and a plane, byte by byte: `cut_at` ends a connection after so many bytes towards the data
    plane, `twice_at` sends the byte there again, `delay` waits before each piece."""

    def __init__(self, path, target):
        self.address, self.target = f"ipc://{path}", str(target)
        self.cut_at = self.twice_at = None
        self.delay = 0.0
        self.hits = 0
        self.ends = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(path))
        self.listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def cut(self):
        """Every connection there is, now."""
        for c in list(self.ends):
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                s.connect(self.target)
            except OSError:
                c.close()
                continue
            self.ends += [c, s]
            threading.Thread(target=self._carry, args=(c, s, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(s, c, True), daemon=True).start()

    def _carry(self, source, sink, is_down):
        total = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.delay:
                    time.sleep(self.delay)
                end = total + len(data)
                if is_down and self.cut_at is not None and end > self.cut_at:
                    sink.sendall(data[: max(0, self.cut_at - total)])
                    self.hits += 1
                    break
                if is_down and self.twice_at is not None and total <= self.twice_at < end:
                    at = self.twice_at - total
                    data = data[: at + 1] + data[at:]
                    self.hits += 1
                sink.sendall(data)
                total = end
        for c in (source, sink):
            with contextlib.suppress(OSError):
                c.shutdown(socket.SHUT_RDWR)
