"""Seeds and dictionary of the fuzz targets of the translator, out of the cases in tests/cases/translate.

A seed begins with the bytes that choose the APIs and the model (tests/fuzz/translation.h, replies.h).

    python tests/support/fuzz_seeds.py DIRECTORY       writes all of them, a directory a target, and DIRECTORY/dictionary
"""

import pathlib
import re
import sys

CASES = pathlib.Path(__file__).resolve().parents[1] / "cases" / "translate"
CLIENTS = ["chat", "messages", "responses", "completions"]
UPSTREAMS = ["chat", "messages", "responses"]
MODELS = {"chat": [0, 2, 1], "messages": [1, 1, 1], "responses": [2, 0, 2]}  # indices into models[]
OWN_BITS, STREAM, STREAM_USAGE, MODIFY, DROP = 128, 4, 8, 16, 32
WITH_REQUEST = 2


def cases():
    """Of each case: client, upstream, options, sections by name."""
    for path in sorted(CASES.glob("*-*/*.txt")):
        client, upstream = path.parent.name.split("-")
        head, *parts = re.split(r"^=== (.*)\n", path.read_text(encoding="utf-8"), flags=re.M)
        yield path.stem, client, upstream, head, dict(zip(parts[::2], parts[1::2]))


def choice(client, upstream, flags, variant=0):
    return bytes([CLIENTS.index(client) + 4 * UPSTREAMS.index(upstream), 0, 0, flags | OWN_BITS,
                  MODELS[upstream][variant], variant * 4])


def seeds():
    """Target, name and bytes of each seed."""
    for name, client, upstream, head, part in cases():
        if upstream not in UPSTREAMS:
            continue
        request = part["request"].strip()
        streams = '"stream":true' in request.replace(" ", "")
        flags = ((STREAM | STREAM_USAGE) * streams | MODIFY * ("modify_params" in head) | DROP * ("drop_params" in head))
        for variant in range(3):
            yield ("translate_request", f"{client}-{upstream}-{name}-{variant}",
                   choice(client, upstream, flags, variant) + request.encode())
        reply = part.get("upstream", "").replace("<CUT>", "").encode()
        if not reply:
            continue
        target = "translate_reply" if reply.lstrip().startswith(b"{") else "translate_stream"
        line = request.replace("\n", " ").encode() + b"\n"
        for to in CLIENTS:  # the others with the request of their own
            begin = choice(to, upstream, flags) + bytes([streams | WITH_REQUEST * (to == client), 7, 1])
            yield target, f"{to}-{upstream}-{name}", begin + (line if to == client else b"") + reply
            if target == "translate_stream":
                yield "sse", f"{upstream}-{name}", bytes([3, 1]) + reply
        yield "json_tape", f"{upstream}-{name}", request.encode()


def dictionary():
    """Keys and short words of the cases, as libFuzzer reads them."""
    words = set()
    for path in CASES.glob("*-*/*.txt"):
        words |= set(re.findall(r'"[A-Za-z_.\[\]][A-Za-z0-9_.:/;,\[\]-]{0,40}"', path.read_text(encoding="utf-8")))
    words |= {'\\ud83d', '\\ude00', '\\u0000', '\\"', '\\\\', 'null', '[]', '{}', '""', 'data: ', 'event: ', '\n\n',
              'data: [DONE]\n\n', '9007199254740993'}
    escape = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\x0a"})
    return "".join(f'"{word.translate(escape)}"\n' for word in sorted(words))


def write(directory, target):
    """The seeds of one target, into a directory that is there; how many there are."""
    mine = [(name, text) for of, name, text in seeds() if of == target]
    for name, text in mine:
        (pathlib.Path(directory) / name).write_bytes(text)
    return len(mine)


def main():
    root = pathlib.Path(sys.argv[1])
    for target in sorted({of for of, _, _ in seeds()}):
        (root / target).mkdir(parents=True, exist_ok=True)
        write(root / target, target)
    (root / "dictionary").write_text(dictionary())


if __name__ == "__main__":
    main()
