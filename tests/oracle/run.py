#!/usr/bin/env python3
"""The translator beside a model of what requests and replies mean, written from wire-formats.md alone.

    run.py PROGRAM [--cases N] [--seed S]          build/release/tests/oracle/translate_cli

PROGRAM is translate_cli. Every case is a random meaning, said in the client's API, translated for each upstream and
read back; then a reply of that upstream, whole or streamed in any pieces, translated and read as the client reads it.
What does not mean the same, but for the losses the tables name, is a difference.
"""

import argparse
import random
import subprocess
import sys

import answered
import asked
from texts import Num, dump, load

APIS = ("chat", "messages", "responses")
MODELS = {"chat": "gpt-4o", "messages": "claude-sonnet-4-5", "responses": "gpt-4o"}
ALPHABET = 'abc XYZ09_-"\\/\n\t{}[]:,éß中文🌊\u2028\x7f\x01'
NUMBERS = ("0", "-0", "1", "1.0", "9007199254740993", "12345678901234567890", "1e400", "-1.5E-7")


class Translator:
    """translate_cli, one case after the other."""

    def __init__(self, program):
        self.child = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, client, upstream, stream, request, reply="", cut=1):
        """The row of the refusal (-1: none), the upstream's body, and the client's reply or None."""
        request, reply = request.encode("utf-8", "surrogatepass"), reply.encode()
        line = f"{client} {upstream} {MODELS[upstream]} {int(stream)} 1 {len(request)} {len(reply)} {cut}\n"
        self.child.stdin.write(line.encode() + request + reply)
        self.child.stdin.flush()
        error, body_n, ok, reply_n = map(int, self.child.stdout.readline().split())
        body, out = self.child.stdout.read(body_n), self.child.stdout.read(reply_n)
        return error, body.decode(), out.decode() if ok else None

    def close(self):
        self.child.stdin.close()
        return self.child.wait()


# --- any meaning ---------------------------------------------------------------------------------------------


def text(rng, most=24):
    s = "".join(rng.choice(ALPHABET) for _ in range(rng.randint(0, most)))
    return rng.choice("aé🌊") + s + rng.choice("z中")  # blank ones, and blanks at the end, have rules of their own


def value(rng, depth=0):
    kind = rng.randint(0, 7 if depth < 3 else 4)
    if kind < 5:
        return (text(rng), Num(rng.choice(NUMBERS)), True, None, "")[kind]
    if kind == 5:
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return {text(rng, 4) + str(k): value(rng, depth + 1) for k in range(rng.randint(0, 3))}


def arguments(rng):
    return {} if rng.random() < 0.2 else {text(rng, 5) + str(k): value(rng) for k in range(rng.randint(1, 3))}


def name(rng, k):
    return rng.choice(["get_weather", "read-file", "f", "mcp__server__" + "long_" * 20, "naïve tool", "a.b/c"]) + str(k)


def identity(rng, k):
    return rng.choice(["call_", "toolu_01", "fc-", "id with blanks ", "x" * 70, "chatcmpl-tool-"]) + str(k)


def image(rng):
    if rng.random() < 0.5:
        return ("image", "https://example.com/a.png?b=c&d=" + str(rng.randint(0, 9)))
    return ("image", "image/png", "iVBORw0KGgo" + "A" * 4 * rng.randint(1, 5) + "=")


def meaning(rng, client):
    tools = [{"name": name(rng, k), "description": rng.choice([None, text(rng)]),
              "schema": rng.choice([None, schema(rng)])} for k in range(rng.randint(0, 3))]  # fmt: skip
    turns, ids = [], 0
    for _ in range(rng.randint(1, 4)):
        turns.append(("user", [("text", text(rng)) if rng.random() < 0.7 else image(rng)
                               for _ in range(rng.randint(1, 3))]))  # fmt: skip
        if rng.random() < 0.5:
            calls = []
            for _ in range(rng.randint(0, 3) if tools else 0):
                ids += 1
                calls.append(("call", identity(rng, ids), rng.choice(tools)["name"], arguments(rng)))
            said = [("text", text(rng))] if rng.random() < 0.6 or not calls else []
            turns.append(("assistant", said + calls))
            results = [("result", c[1], text(rng), client == "messages" and rng.random() < 0.2) for c in calls]
            more = [("text", text(rng))] if rng.random() < 0.3 or not results else []
            turns.append(("user", results + more))
    choice = rng.choice([None, "auto", "none", "required", "="]) if tools else None
    return {
        "system": [text(rng) for _ in range(rng.choice([0, 1, 1, 2]))],
        "turns": asked._merged(turns),
        "tools": tools,
        "choice": "=" + rng.choice(tools)["name"] if choice == "=" else choice,
        "parallel": rng.choice([None, None, True, False]) if tools and client != "messages" else None,
        "schema": closed(rng) if not tools and rng.random() < 0.2 else None,
        "max_tokens": Num(rng.choice([20, 300, 4000])) if client == "messages" or rng.random() < 0.5 else None,
        "temperature": rng.choice([None, Num("0.5"), Num("1"), Num("0")] + [Num("1.7")] * (client != "messages")),
        "top_p": rng.choice([None, None, Num("0.9")]),
        "stop": [text(rng, 5) for _ in range(rng.randint(0, 3))] if client != "responses" else [],
        "user": rng.choice([None, "user-1"]),
        "stream": rng.choice([None, True]),
    }


def schema(rng):
    return {"type": "object", "properties": {text(rng, 4) + str(k): {"type": "string"} for k in range(rng.randint(1, 3))}}


def closed(rng):
    s = schema(rng)
    return dict(s, required=list(s["properties"]), additionalProperties=False)


def reply(rng, names):
    calls = [(f"call_{k}", rng.choice(names), arguments(rng)) for k in range(rng.randint(0, 3))] if names else []
    said = text(rng, 60) if rng.random() < 0.7 or not calls else ""
    cached = rng.randint(0, 5)
    output = rng.randint(1, 99)
    return {"thought": rng.choice([None, None, text(rng, 40)]), "text": said, "calls": calls,
            "stop": "tool" if calls else rng.choice(["end", "end", "length"]),
            "usage": {"input": cached + rng.randint(1, 99), "cached": cached, "output": output,
                      "reasoning": 0}}  # fmt: skip


# --- compared ------------------------------------------------------------------------------------------------


def check(translator, seed, client, upstream):
    """What differs in one case, as texts."""
    rng = random.Random(f"{seed}/{client}/{upstream}")
    m = meaning(rng, client)
    stream = bool(m["stream"])
    request = dump(asked.WRITE[client](m, rng), rng)
    error, body, _ = translator.run(client, upstream, stream, request)
    if error >= 0:
        return [f"refused by row {error}: {request}"]
    got = asked.READ[upstream](load(body))
    found = asked.differences(asked.expected(m, client, upstream), got)
    if found:
        return found + [f"request {request}", f"body {body}"]
    back = {sent["name"]: t["name"] for sent, t in zip(got["tools"], m["tools"])}
    said = reply(rng, list(back))
    whole = rng.random() < 0.4
    answer = answered.WRITE[upstream][not whole](said, rng)
    _, _, out = translator.run(client, upstream, stream, request, answer, rng.choice([1, 7, 100, 1 << 20]))
    if out is None:
        return [f"the reply was not understood: {answer}"]
    want = dict(said, calls=[(i, back[n], a) for i, n, a in said["calls"]])
    if client == "chat" and stream and "include_usage" not in request:  # A.9: nobody asked for it
        want["usage"] = dict.fromkeys(want["usage"], 0)
    found = answered.differences(want, answered.READ[client][stream](out if stream else load(out)))
    return found + [f"request {request}", f"answer {answer}", f"reply {out}"] if found else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=2000, help="of each pairing")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    translator, bad, n = Translator(options.program), 0, 0
    for seed in range(options.seed, options.seed + options.cases):
        for client in APIS:
            for upstream in APIS:
                n += 1
                try:
                    found = check(translator, seed, client, upstream)
                except Exception as e:  # what cannot be read differs, too
                    found = [f"{type(e).__name__}: {e}"]
                if found and bad < 10:
                    print(f"--- {client} -> {upstream}, seed {seed}", *found, sep="\n", flush=True)
                bad += bool(found)
    status = translator.close()
    print(f"{n} cases, {bad} differ, translate_cli ended with {status}")
    return 1 if bad or status else 0


if __name__ == "__main__":
    sys.exit(main())
