"""A small language for the shape of JSON: a schema is a function of (value, where it stands) that raises Refused.

record({"model": text()}, {"temperature": number(0, 2)})     required and optional members, no others
tagged({"text": record(...), "image": record(...)})          by the member "type"
"""

import re


class Refused(Exception):
    """The provider would answer this with 400 (or `status`). `usual`: clients ask on purpose, to see what it can."""

    def __init__(self, at, message, code=None, status=400, usual=False):
        super().__init__(f"{at}: {message}" if at else message)
        self.at, self.code, self.status, self.usual = at, code, status, usual


def below(at, key):
    if isinstance(key, int):
        return f"{at}[{key}]"
    return f"{at}.{key}" if at else key


def kind(v):
    for name, type_ in (
        ("null", type(None)),
        ("boolean", bool),
        ("number", (int, float)),
        ("string", str),
        ("array", list),
    ):
        if isinstance(v, type_):
            return name
    return "object"


def _is(v, at, name):
    if kind(v) != name:
        raise Refused(at, f"expected {name}, got {kind(v)}", "invalid_type")


def anything(v, at):
    pass


def boolean(v, at):
    _is(v, at, "boolean")


def an_object(v, at):
    """An object of any content."""
    _is(v, at, "object")


def text(least=0, most=None, pattern=None):
    def check(v, at):
        _is(v, at, "string")
        if len(v) < least:
            raise Refused(at, f"string of {len(v)} characters, at least {least} wanted", "string_below_min_length")
        if most is not None and len(v) > most:
            raise Refused(at, f"string of {len(v)} characters, at most {most} allowed", "string_above_max_length")
        if pattern and not re.fullmatch(pattern, v):
            raise Refused(at, f"{v!r} does not match {pattern}", "invalid_value")

    return check


def number(low=None, high=None):
    def check(v, at):
        _is(v, at, "number")
        if (low is not None and v < low) or (high is not None and v > high):
            raise Refused(at, f"{v} is not in {low}..{high}", "invalid_value")

    return check


def integer(low=None, high=None):
    inner = number(low, high)

    def check(v, at):
        inner(v, at)
        if not isinstance(v, int):
            raise Refused(at, f"{v} is not an integer", "invalid_type")

    return check


def one_of(*values):
    def check(v, at):
        if not any(v == x and type(v) is type(x) for x in values):
            raise Refused(at, f"{v!r} is none of {', '.join(map(str, values))}", "invalid_value")

    return check


def maybe(schema):
    """Or null."""
    return lambda v, at: None if v is None else schema(v, at)


def by_kind(**schemas):
    """Names of `kind` -> schema."""

    def check(v, at):
        if kind(v) not in schemas:
            raise Refused(at, f"expected {' or '.join(schemas)}, got {kind(v)}", "invalid_type")
        schemas[kind(v)](v, at)

    return check


def array(item, least=0, most=None):
    def check(v, at):
        _is(v, at, "array")
        if len(v) < least:
            raise Refused(at, f"array too short: {len(v)}, at least {least} wanted", "empty_array")
        if most is not None and len(v) > most:
            raise Refused(at, f"array too long: {len(v)}, at most {most} allowed", "array_above_max_length")
        for i, x in enumerate(v):
            item(x, below(at, i))

    return check


def table(value, most=None, key=text()):
    """An object of any names."""

    def check(v, at):
        _is(v, at, "object")
        if most is not None and len(v) > most:
            raise Refused(at, f"too many members: {len(v)}, at most {most} allowed", "object_above_max_properties")
        for k, x in v.items():
            key(k, at)
            value(x, below(at, k))

    return check


def record(required, optional=(), open=False):
    """An object of exactly these members; `open`: and of others."""
    known = {**required, **dict(optional)}

    def check(v, at):
        _is(v, at, "object")
        for k in required:
            if k not in v:
                raise Refused(below(at, k), "field required", "missing_required_parameter")
        for k, x in v.items():
            if k in known:
                known[k](x, below(at, k))
            elif not open:
                raise Refused(below(at, k), "unknown parameter", "unknown_parameter")

    return check


def tagged(schemas, tag="type", default=None):
    """By the value of the member `tag`; the schemas need not name it."""

    def check(v, at):
        _is(v, at, "object")
        name = v.get(tag, default)
        if name is None:
            raise Refused(below(at, tag), "field required", "missing_required_parameter")
        if not isinstance(name, str) or name not in schemas:
            raise Refused(below(at, tag), f"{name!r} is none of {', '.join(schemas)}", "invalid_value")
        schemas[name]({k: x for k, x in v.items() if k != tag}, at)

    return check


def unique(names, at, what):
    seen = set()
    for n in names:
        if n in seen:
            raise Refused(at, f"{what} {n!r} is not unique")
        seen.add(n)
