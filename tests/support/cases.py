"""Wire cases: text files of one exchange, in both directions, byte for byte. tests/cases/relay/README.md has the format."""

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import http, standard
from .mock_provider import FIN, LAST_CHUNK, RST, STALL, Delay, chunk

CASES = Path(__file__).resolve().parents[1] / "cases"
SECTIONS = ("client", "upstream-request", "upstream", "reply", "usage")
MARKS = re.compile(r"<(CR|LF|NUL|BOM|-|\||ANY|FIN|RST|STALL|DELAY [\d.]+|END \w+|x[0-9A-F]{2})>(\n?)")
INJECTED = rb'"stream_options":\s*\{\s*"include_usage":\s*true\s*\}'
PAUSE = Delay(0.002)  # long enough for the gateway to read what came before


@dataclass
class Message:
    """A head as text lines, and a body of bytes and marks."""

    lines: list
    parts: list

    @property
    def headers(self):
        return [(n.strip().lower(), v.strip()) for n, _, v in (x.partition(":") for x in self.lines[1:])]

    @property
    def names(self):
        return {n for n, _ in self.headers}

    def body(self):
        return b"".join(p for p in self.parts if isinstance(p, bytes))


@dataclass
class Case:
    name: str
    title: str
    options: dict = field(default_factory=dict)
    sections: dict = field(default_factory=dict)
    variant: object = None  # how the upstream's bytes are cut just now
    seen: list = field(default_factory=list)  # what the upstream received

    @property
    def public(self):
        return f"{self.name}-pub"

    @property
    def upstream(self):
        return f"{self.name}-upstream-model"

    def deployment(self, base):
        make = {"openai": standard.openai, "anthropic": standard.anthropic}[self.options.get("dialect", "openai")]
        params = json.loads(self.options.get("params", "{}"))
        return make(self.public, self.upstream, base, model_info=standard.PRICES, **params)


def load(path):
    text = path.read_text(encoding="utf-8")
    preamble, *rest = re.split(r"^=== ([\w-]+)\n", text, flags=re.M)
    case = Case(path.stem, "")
    for line in preamble.splitlines():
        if line.startswith("#"):
            case.title = case.title or line[1:].strip()
        elif line.strip():
            name, _, value = line.partition(":")
            assert name in ("dialect", "params", "injects", "raw", "split"), f"{path}: {line}"
            case.options[name] = value.strip()
    for name, content in zip(rest[::2], rest[1::2], strict=True):
        assert name in SECTIONS, f"{path}: {name}"
        content = content.replace("$PUB", case.public).replace("$UP", case.upstream)
        if name == "usage":
            pairs = (line.partition(":") for line in content.splitlines() if line)
            case.sections[name] = {n.strip(): v.strip() for n, _, v in pairs}
            continue
        head, _, body = content.partition("\n\n") if "\n\n" in content else (content.rstrip("\n"), "", "")
        case.sections[name] = Message(head.split("\n"), _parts(body))
    return case


def all_cases(family):
    return [load(p) for p in sorted((CASES / family).glob("*.txt"))]


def _parts(text):
    """Bytes, and marks as strings."""
    if text.endswith("<ANY>\n"):
        text = text[:-1]
    parts, at = [], 0
    plain = b""
    for m in MARKS.finditer(text):
        plain += text[at : m.start()].encode()
        mark, newline = m[1], m[2]
        at = m.end()
        if mark == "-":
            continue  # this line has no end
        if newline and not mark.startswith(("FIN", "RST", "STALL", "DELAY", "END", "|")):
            at -= 1
        byte = {"CR": b"\r", "LF": b"\n", "NUL": b"\0", "BOM": b"\xef\xbb\xbf"}.get(mark)
        if mark.startswith("x"):
            byte = bytes([int(mark[1:], 16)])
        if byte is not None:
            plain += byte
        else:
            parts += [plain, mark]
            plain = b""
    parts.append(plain + text[at:].encode())
    return [p for p in parts if p]


# --- making the bytes of both legs -------------------------------------------------------------------------------


def _head(lines):
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def _framed(message, steps_of_end):
    """The head and body of a message as steps, framed as its headers say."""
    chunked = ("transfer-encoding", "chunked") in message.headers
    lines = list(message.lines)
    if ("content-length", "auto") in message.headers:
        at = [n for n, _ in message.headers].index("content-length") + 1
        lines[at] = f"Content-Length: {len(message.body())}"
    steps, ended = [_head(lines)], False
    for part in message.parts:
        if isinstance(part, bytes):
            steps.append(chunk(part) if chunked else part)
        elif part.startswith("DELAY"):
            steps.append(Delay(float(part.split()[1])))
        elif part in ("FIN", "RST", "STALL"):
            steps.append({"FIN": FIN, "RST": RST, "STALL": STALL}[part])
            ended = True
    if chunked and not ended:
        steps.append(steps_of_end)
    return steps


def request_bytes(case, key):
    m = case.sections["client"]
    if case.options.get("raw"):
        return _head(m.lines) + m.body()
    lines, names = list(m.lines), m.names
    extra = [] if "host" in names else ["Host: weir"]
    if not names & {"authorization", "x-api-key", "api-key", "x-litellm-api-key", "x-goog-api-key"}:
        extra.append(f"Authorization: Bearer {key}")
    if m.body() and not names & {"content-length", "transfer-encoding"}:
        extra.append(f"Content-Length: {len(m.body())}")
    lines = [x.replace("$KEY", key) for x in lines]
    framed = _framed(Message([lines[0], *extra, *lines[1:]], m.parts), LAST_CHUNK)
    return b"".join(s for s in framed if isinstance(s, bytes))


def cut(steps, variant):
    """Steps with the bytes cut: variant None whole, "byte" each alone, a number: once, at that offset."""
    out, at = [], 0
    for step in steps:
        if not isinstance(step, bytes) or variant is None:
            out.append(step)
        elif variant == "byte":
            for i in range(len(step)):
                out += [step[i : i + 1], Delay(0.001)]
        else:
            k = variant - at
            out += [step[:k], PAUSE, step[k:]] if 0 < k < len(step) else [step]
            at += len(step)
    return out


# --- playing -----------------------------------------------------------------------------------------------------


def install(case, mock):
    def script(request):
        case.seen.append(request)
        return cut(_framed(case.sections["upstream"], LAST_CHUNK), case.variant)

    if "upstream" in case.sections:
        mock.on(case.upstream, script)


def play(case, port, key, variant=None):
    """One exchange, checked. Returns the reply."""
    case.variant = variant
    case.seen.clear()
    data = request_bytes(case, key)
    with http.Client(port, timeout=20) as c:
        try:
            for step in cut([data], variant):
                if isinstance(step, bytes):
                    c.send(step)
                else:
                    time.sleep(step.seconds)
        except (BrokenPipeError, ConnectionResetError):
            pass  # an early refusal: its reply is what counts
        reply = c.read_reply()
    if "upstream" in case.sections:
        assert len(case.seen) == 1, f"the upstream saw {len(case.seen)} requests; the client got {reply}"
    else:
        assert not case.seen, "the upstream was asked"
    if "upstream-request" in case.sections:
        check_request(case, case.seen[0])
    check_reply(case, reply)
    return reply


def length(case, key):
    """How many offsets there are to split at."""
    upstream = _framed(case.sections["upstream"], LAST_CHUNK) if "upstream" in case.sections else []
    return max(len(request_bytes(case, key)), sum(len(s) for s in upstream if isinstance(s, bytes)))


def _check_headers(wanted, got_list):
    got = {}
    for n, v in got_list:
        got.setdefault(n, []).append(v)
    for name, value in wanted:
        if name.startswith("-"):
            assert name[1:] not in got, f"{name[1:]}: {got[name[1:]]}"
        elif value == "*":
            assert name in got, f"{name} is missing"
        else:
            assert got.get(name) == [value], f"{name}: {got.get(name)}, not {value}"


def check_request(case, request):
    wanted = case.sections["upstream-request"]
    assert request.line == wanted.lines[0]
    _check_headers(wanted.headers, request.header_list)
    body = request.body
    if case.options.get("injects") == "stream_options":
        without = re.sub(rb"," + INJECTED + rb"|" + INJECTED + rb",", b"", body)
        assert without != body, f"no stream_options in {body}"
        body = without
    assert body == wanted.body()


def check_reply(case, reply):
    wanted = case.sections["reply"]
    status = int(wanted.lines[0].split(" ")[1])
    assert reply.status == status, f"{reply.status}: {reply.body[:400]}"
    _check_headers(wanted.headers, reply.headers)
    ends = [p.split()[1] for p in wanted.parts if isinstance(p, str) and p.startswith("END")]
    if ends:
        assert ends[0] in (reply.end, "any"), reply.end
    else:
        assert reply.end != "cut"
    pattern = b"".join(b".*" if p == "ANY" else re.escape(p) for p in wanted.parts if isinstance(p, bytes) or p == "ANY")
    assert re.fullmatch(pattern, reply.body, re.S), f"\n got: {reply.body!r}\nwant: {wanted.parts!r}"
