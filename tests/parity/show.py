"""tests/parity/show: see there."""

import argparse
import pathlib

import corpus
import play


def main():
    parser = argparse.ArgumentParser(prog="tests/parity/show", description="Print what a gateway does with cases.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases whose name holds NAME")
    parser.add_argument("--weir", action="store_true", help="Weir instead of LiteLLM")
    parser.add_argument("--list", action="store_true", help="only the names of the cases")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR", help="a file DIR/PAIRING/CASE.txt for each")
    args = parser.parse_args()
    cases = corpus.select(args.names)
    if args.list or not cases:
        print("\n".join(c.name for c in cases))
        return 0 if cases else 2
    with play.Player("weir" if args.weir else "litellm", corpus.variants(cases)) as player:
        for case, _, seen in player.play_all(cases):
            text = play.describe(case, seen)
            if not args.out:
                print(text)
                continue
            path = args.out / f"{case.name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 0


raise SystemExit(main())
