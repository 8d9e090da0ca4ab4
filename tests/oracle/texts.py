"""JSON whose numbers are texts, written in any way the libraries of clients write it."""

import json
import re


class Num(str):
    """A number by its digits (wire-formats.md F.17)."""


def load(text):
    return json.loads(text, parse_int=Num, parse_float=Num, parse_constant=_no)


def _no(name):
    raise ValueError(name)


def _blank(rng):
    return rng.choice(["", "", "", " ", "\n ", "\t"])


def _char(c, rng):
    if c in '"\\' or c < " " or (rng and (c > "~" or c == "/") and rng.random() < 0.2):
        short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "/": "\\/"}.get(c)
        if short and (not rng or rng.random() < 0.8 or c == "/"):
            return short
        units = c.encode("utf-16-be")
        return "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))
    return c


def dump(v, rng=None):
    """As compact JSON; with `rng` any blanks and escapes, and members in any order."""
    gap = (lambda: _blank(rng)) if rng else (lambda: "")
    if isinstance(v, Num):
        return str(v)
    if isinstance(v, str):
        return '"' + "".join(_char(c, rng) for c in v) + '"'
    if isinstance(v, dict):
        members = list(v.items())
        if rng:
            rng.shuffle(members)
        return "{" + gap() + ",".join(dump(k, rng) + gap() + ":" + gap() + dump(x, rng) + gap() for k, x in members) + "}"
    if isinstance(v, (list, tuple)):
        return "[" + gap() + ",".join(gap() + dump(x, rng) + gap() for x in v) + "]"
    return json.dumps(v)


def events(stream):
    """Name and data of each event, as this gateway frames them."""
    for event in stream.split("\n\n"):
        if not event:
            continue
        match = re.fullmatch(r"(?:event: ([^\n]*)\n)?data: ([^\n]*)", event)
        if not match:
            raise AssertionError(f"no event: {event!r}")
        yield match[1], match[2]
