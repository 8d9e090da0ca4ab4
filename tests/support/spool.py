"""Made-up spools of data planes, and the ingest of the control plane without a control plane.

    spool = Spool()
    with Door(url) as door:
        door.take(spool.batch(record(key="k", cost_nusd=5)))
"""

import itertools
import json
import os
import struct
import subprocess
import uuid

from .weir import BUILD

PROGRAM = BUILD.parent / "tests" / "ingest_door"

# UsageRecord of proto/weir.proto
TEXTS = {
    "request_id": 1, "response_id": 2, "model": 3, "group": 4, "deployment": 5, "upstream_model": 6, "provider": 7, "api_base": 8,
    "key": 9, "end_user": 10, "client_ip": 11, "trace_id": 12, "user_agent": 13, "error": 14, "team": 60, "user": 61,
    "organization": 62, "project": 63, "key_alias": 65,
}  # fmt: skip
LISTS = {"tags": 64, "budget_groups": 67}
NUMBERS = {
    "status": 20, "upstream_status": 21, "api": 22, "attempt": 23, "stream": 24, "unpriced": 25, "client_gone": 26,
    "died": 27, "reused": 28, "retried": 29, "start_us": 30, "first_us": 31, "end_us": 32, "total_ns": 33,
    "upstream_ns": 34, "first_byte_ns": 35, "connect_ns": 36, "overhead_ns": 37, "bytes_in": 40, "bytes_out": 41,
    "upstream_bytes_in": 42, "upstream_bytes_out": 43, "cost_nusd": 51, "input_nusd": 52, "output_nusd": 53,
    "cache_read_nusd": 54, "cache_write_nusd": 55, "exchanges": 66,
}  # fmt: skip
USAGE = {
    "input": 1, "cache_read": 2, "cache_write": 3, "cache_write_1h": 4, "audio_in": 5, "image_in": 6, "output": 7,
    "reasoning": 8, "audio_out": 9, "image_out": 10, "web_searches": 11, "tier": 12, "seen": 13, "estimated": 14,
}  # fmt: skip
HEAD, CRC = 26, 4


def _table():
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        yield i


_CRC32C = list(_table())


def crc32c(data):
    crc = 0xFFFFFFFF
    for b in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ b) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes(out + bytes([n]))


def _bytes(field, data):
    return _varint(field << 3 | 2) + _varint(len(data)) + data


def _as_bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def message(fields):
    """UsageRecord of a dict: texts and numbers by name, `usage` a dict, LISTS lists."""
    out = b""
    for name, value in fields.items():
        if name == "usage":
            out += _bytes(50, b"".join(_varint(USAGE[k] << 3) + _varint(int(v)) for k, v in value.items()))
        elif name in LISTS:
            out += b"".join(_bytes(LISTS[name], _as_bytes(t)) for t in value)
        elif name in TEXTS:
            out += _bytes(TEXTS[name], _as_bytes(value))
        else:
            out += _varint(NUMBERS[name] << 3) + _varint(int(value))
    return out


_calls = itertools.count(1)


def record(**fields):
    """One exchange that went well, but for what is said."""
    n = next(_calls)
    return {
        "request_id": str(uuid.UUID(int=n)), "response_id": f"chatcmpl-{n:08d}", "model": "gpt", "group": "gpt",
        "deployment": "d1", "upstream_model": "gpt-4o", "provider": "openai", "api_base": "https://api.openai.com/v1", "key": "k",
        "client_ip": "10.0.0.1", "attempt": 1, "status": 200, "upstream_status": 200, "start_us": 1767312000000000 + n * 1000,
        "end_us": 1767312000000000 + n * 1000 + 250000, "total_ns": 250000000, "cost_nusd": 0, **fields,
    }  # fmt: skip


class Spool:
    """Records in segments as the link writes them. Batches are made of what was not batched yet."""

    def __init__(self, spool_id=None):
        self.id = spool_id or os.urandom(16)
        self.segment, self.offset = 1, 0
        self.seq = itertools.count(1)

    def raw(self, rec, type=1, epoch=1767312000000000, region=1):
        body = message(rec) if isinstance(rec, dict) else rec
        out = struct.pack("<IBBQIQ", HEAD + len(body) + CRC, type, 1, epoch, region, next(self.seq)) + body
        return out + struct.pack("<I", crc32c(out))

    def place(self, data):
        """A batch of bytes as they lie in the segment, which goes on behind them."""
        batch = {
            "spool": self.id.hex(), "segment": self.segment, "from": self.offset, "records": data.hex(),
            "next_segment": self.segment, "next_offset": self.offset + len(data),
        }  # fmt: skip
        self.offset += len(data)
        return batch

    def batch(self, *records):
        return self.place(b"".join(self.raw(r) for r in records))

    def next_segment(self):
        self.segment, self.offset = self.segment + 1, 0


class Door:
    def __init__(self, url, agent_tags=True, begins_periods=False):
        argv = [str(PROGRAM), url] + ["no_agent_tags"] * (not agent_tags) + ["begins_periods"] * begins_periods
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        self.log = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        code = self.process.wait(timeout=30)
        assert kind or code == 0, f"ingest_door ended with {code}\n{self.log}"

    def send(self, *batches):
        self.process.stdin.write(json.dumps(batches) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, *batches):
        self.send(*batches)
        return self.answer()

    def take(self, *batches):
        """They are taken: where their spools stand is behind them."""
        got = self.ask(*batches)
        assert got.get("taken") == [[b["next_segment"], b["next_offset"]] for b in batches], got
        return got
