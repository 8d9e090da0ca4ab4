"""tests/parity/run: see there."""

import argparse
import concurrent.futures
import fnmatch
import json
import pathlib
import re
import sys
import traceback

import yaml

import corpus
import play
import shape

HERE = pathlib.Path(__file__).resolve().parent
DOC = HERE.parents[1] / "docs/differences.md"
SHOWN = 12  # differences of one case that are printed


class Rule:
    """A difference that is meant: `at` paths in `cases`, explained by a row of docs/differences.md."""

    def __init__(self, given):
        self.why = given["why"]
        self.cases = _list(given.get("cases", "*"))
        self.but = _list(given.get("but", []))
        self.paths = [re.compile(fnmatch.translate(p)) for p in _list(given["at"])]
        self.litellm = given.get("litellm", ...)
        self.weir = given.get("weir", ...)
        self.used = 0

    def explains(self, case, path, left, right):
        if not any(fnmatch.fnmatchcase(case.name, c) for c in self.cases) or any(fnmatch.fnmatchcase(case.name, c) for c in self.but):
            return False
        if not any(p.match(path) for p in self.paths):
            return False
        return _is(self.litellm, left) and _is(self.weir, right)


def _list(value):
    return value if isinstance(value, list) else [value]


def _is(wanted, got):
    return wanted is ... or (wanted == "absent" and got is shape.ABSENT) or wanted == got


def rules():
    found = [Rule(r) for r in yaml.safe_load((HERE / "expected.yaml").read_text(encoding="utf-8")) or []]
    doc = DOC.read_text(encoding="utf-8")
    for r in found:
        assert r.why in doc, f"expected.yaml: docs/differences.md has no {r.why!r}"
    return found


def short(value):
    text = repr(value) if value is shape.ABSENT else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) < 400 else text[:400] + "…"


def gateway(which, cases):
    """By case name: its shape, and the exchange as text."""
    out = {}
    with play.Player(which, corpus.variants(cases)) as player:
        for case, lane, seen in player.play_all(cases):
            out[case.name] = shape.shape(case, seen, lane), play.describe(case, seen)
    return out


def main():
    parser = argparse.ArgumentParser(prog="tests/parity/run", description="Compare Weir with LiteLLM, case by case.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases whose name holds NAME; all without")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="the exchanges as text: DIR/GATEWAY/PAIRING/CASE.txt")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="all differences as JSON lines, the meant ones with their rows")
    args = parser.parse_args()
    cases = corpus.select(args.names)
    expected = rules()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        litellm, weir = pool.map(lambda w: gateway(w, cases), ("litellm", "weir"))
    passed = failed = 0
    lines = []
    for case in cases:
        left, right = litellm[case.name][0], weir[case.name][0]
        found = [(d, next((r for r in expected if r.explains(case, *d)), None)) for d in shape.differences(left, right)]
        bad = [d for d, rule in found if not rule]
        for _, rule in found:
            if rule:
                rule.used += 1
        passed, failed = passed + (not bad), failed + bool(bad)
        if bad:
            print(f"FAILED {case.name}")
            for path, a, b in bad[:SHOWN]:
                print(f"    {path}\n        litellm {short(a)}\n        weir    {short(b)}")
        lines += [json.dumps({"case": case.name, "at": p, "litellm": short(a), "weir": short(b),
                              "why": rule and rule.why}, ensure_ascii=False) for (p, a, b), rule in found]  # fmt: skip
        if args.keep:
            for which, got in (("litellm", litellm), ("weir", weir)):
                path = args.keep / which / f"{case.name}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(got[case.name][1], encoding="utf-8")
    if args.json:
        args.json.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if not args.names:
        for r in expected:
            if not r.used:
                print(f"FAILED expected.yaml: nothing differs as in {r.why!r} at {r.paths[0].pattern}")
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def guarded():
    """main(), whose failure is a failure and ends with the line of all."""
    try:
        return main()
    except Exception:
        traceback.print_exc(file=sys.stdout)
        print("0 passed, 1 failed")
        return 1


sys.exit(guarded())
