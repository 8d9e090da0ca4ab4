"""A model that does what it is told: "plan:NAME" in what the user says chooses from PLANS, whichever API carries it.

Every request is judged first (strict.py); what a real provider would refuse is refused, and noted in `mock.refused`.
A plan is a function of the View that gives the parts of the answer; the View stays at `request.view`.
"""

import hashlib
import json
import re

from . import dialects, speak, strict, view
from .dialects import CITY, TEXT, THOUGHT
from .parts import Audio, Call, Cut, Document, End, Fail, Image, Pace, Pause, Refusal, Text, Thought

PERSON = {"name": "Ada", "age": 36, "tags": ["math", "engine"], "home": {"city": "London"}}
BIG = 9007199254740993  # 2^53 + 1
REFUSAL = "I cannot help with that."
MARK = re.compile(r"plan:([a-z]+)(?:-(\w+))?")


def digest(data):
    return hashlib.sha256(data.encode()).hexdigest()[:12]


def say(v):
    return [Text(TEXT)]


def weather(v):
    """One call, then what it gave."""
    if v.rounds == 0:
        return [Text("Let me look."), Call("get_weather", CITY)]
    return [Text("The tool said " + "; ".join(r.text for r in v.results))]


def both(v):
    """Two calls at once, one with a number no double holds, one without arguments."""
    if v.rounds == 0:
        return [Call("get_weather", '{"city": "Genève", "station": %d}' % BIG), Call("now", "{}")]
    return [Text("; ".join(f"{r.text}{' (error)' if r.error else ''}" for r in v.results))]


def rounds(v):
    """Three calls, one after the other."""
    if v.rounds < 3:
        return [Call("count", json.dumps({"n": v.rounds}))]
    return [Text("; ".join(c.args.replace(" ", "") for c in v.calls[-3:]))]


def named(v):
    """Calls whatever tool there is first."""
    if v.rounds == 0:
        return [Call(next(iter(v.tools)), "{}")]
    return [Text("done")]


def free(v):
    """A tool that takes free text; where the API has none, its one argument."""
    if v.rounds:
        return [Text(f"It said {v.results[0].text}")]
    tool = next(iter(v.tools.values()))
    text = 'let x = "1\n2";'
    if tool.kind == "custom":
        return [Call(tool.name, text, custom=True)]
    (argument,) = tool.schema["properties"]
    return [Call(tool.name, json.dumps({argument: text}))]


def person(v):
    """An object, in the way this API was asked for it."""
    answer = json.dumps(PERSON)
    if v.schema is None and (isinstance(v.choice, tuple) or (v.choice == "required" and len(v.tools) == 1)):
        name = v.choice[1] if isinstance(v.choice, tuple) else next(iter(v.tools))
        return [Call(name, answer)]
    wanted = v.json or any("json" in s.lower() for s in v.system)
    return [Text(answer if wanted else "Nobody asked me for JSON.")]


def think(v):
    return [Thought(THOUGHT), Text(TEXT)]


def hidden(v):
    return [Thought("hidden", redacted=True), Thought(THOUGHT), Text(TEXT)]


def ponder(v):
    """Thinks, calls, and wants its thoughts back."""
    if v.rounds == 0:
        return [Thought(THOUGHT), Call("get_weather", CITY)]
    last = [t for t in v.turns if t.role == "assistant"][-1]
    known = [p for p in last.parts if isinstance(p, Thought)]
    return [Thought("Done."), Text(f"I {'remember' if known else 'forgot'}: {v.results[0].text}")]


def muse(v):
    """Thinks before each of two calls, and wants both thoughts back."""
    if v.rounds == 0:
        return [Thought(THOUGHT), Call("get_weather", CITY), Thought("And what time is it?"), Call("now", "{}")]
    last = [t for t in v.turns if t.role == "assistant"][-1]
    return [Text(f"{sum(isinstance(p, Thought) for p in last.parts)} thoughts, {len(v.results)} results")]


def refuse(v):
    return [Refusal(REFUSAL)]


def long(v):
    return [Text("Once upon a"), End("length")]


def sequence(v):
    """Stops where it was told to, if it was told."""
    if not v.stop:
        return [Text("one two three")]
    return [Text("one two three".split(v.stop[0])[0]), End("sequence", v.stop[0])]


def cutcall(v):
    """A call cut short by the limit."""
    return (
        [Call("get_weather", CITY[:12]), End("length")]
        if v.api != "messages"
        else [Call("get_weather", "{}"), End("length")]
    )


def report(v):
    """All that arrived, as JSON."""
    seen = {
        "system": v.system,
        "said": v.said,
        "roles": [t.role for t in v.turns],
        "tools": {t.name: t.kind for t in v.tools.values()},
        "choice": v.choice,
        "parallel": v.parallel,
        "images": [[i.mime, digest(i.data)] if i.data else [i.url] for i in v.parts(Image)],
        "documents": [[d.name, d.mime, digest(d.data)] for d in v.parts(Document)],
        "audio": [[a.format, digest(a.data)] for a in v.parts(Audio)],
        "results": [[r.text, r.error] for r in v.results],
        "thoughts": [[t.text, t.redacted] for t in v.parts(Thought)],
        "calls": [[c.name, c.args] for c in v.calls],
        "effort": v.effort,
        "thinking": v.thinking,
        "max_tokens": v.max_tokens,
        "stop": v.stop,
    }
    return [Text(json.dumps(seen, ensure_ascii=False))]


def fail(v):
    return [Text(TEXT), Fail(529 if v.api == "messages" else 500, "Overloaded")]


def cut(v):
    return [Text(TEXT), Cut()]


def reset(v):
    return [Text(TEXT), Cut(reset=True)]


def stall(v):
    return [Text(TEXT), Pause()]


def slow(v):
    return [Text(TEXT), Pace(0.05)]


# --- agents: a task by their own tools ------------------------------------------------------------------------------

FILE = re.compile(r"file=(\S+)")
WRITTEN = "one\nzwei 🌊\n"


def _step(v, calls):
    """One call a round, then what the last one gave. An agent's side questions have no tools."""
    if not v.tools:
        return [Text("A title")]
    if v.rounds < len(calls):
        return [Thought(THOUGHT), Text(f"Step {v.rounds + 1}."), calls[v.rounds]]
    return [Text(f"All done: {v.results[-1].text}")]


def claude(v):
    path = FILE.search(v.all_said)[1]
    steps = [
        ("Write", {"file_path": path, "content": "one\ntwo\n"}),
        ("Read", {"file_path": path}),
        ("Edit", {"file_path": path, "old_string": "two", "new_string": "zwei 🌊"}),
        ("Bash", {"command": f"cat {path}", "description": "Show the file"}),
    ]
    return _step(v, [Call(name, json.dumps(given)) for name, given in steps])


def codex(v):
    path = FILE.search(v.all_said)[1]
    patch = f"*** Begin Patch\n*** Add File: {path}\n+one\n+two\n*** End Patch\n"
    if tool := v.tools.get("apply_patch"):
        custom = tool.kind == "custom"
        argument = None if custom else next(iter(tool.schema["properties"]))
        write = Call("apply_patch", patch if custom else json.dumps({argument: patch}), custom=custom)
    else:
        write = Call("exec_command", json.dumps({"cmd": f"printf 'one\\ntwo\\n' > {path}"}))
    edit = Call("exec_command", json.dumps({"cmd": f"sed -i 's/two/zwei 🌊/' {path} && cat {path}"}))
    return _step(v, [write, edit])


PLANS = {f.__name__: f for f in (say, weather, both, rounds, named, free, person, think, hidden, ponder, muse, refuse, long,
                                 sequence, cutcall, report, fail, cut, reset, stall, slow, claude, codex)}  # fmt: skip


def _err(status):
    headers = (("retry-after", "7"), ("x-should-retry", "false")) if status in (429, 503, 529) else ()
    return [Fail(status, "", headers)]


def play(v, plans=PLANS):
    """What the last mark says; without one, a text."""
    marks = MARK.findall(v.all_said)
    name, more = marks[-1] if marks else ("say", "")
    return _err(int(more)) if name == "err" else plans[name](v)


def script(request, plans=PLANS):
    """The mock's default script, with this model behind it."""
    mock = request.conn.mock
    refused = strict.judge(request, {k: kept.context for k, kept in mock.kept.items()})
    if refused:
        if not refused.usual:
            mock.refused.append((request.line, request.body.decode(errors="replace"), str(refused)))
        return strict.answer(request, refused)
    if request.path not in SPOKEN:
        return dialects.default(request)
    before = mock.kept.get(request.json.get("previous_response_id"))
    request.view = view.read(request, before.context if before else ())
    return speak.answer(request, play(request.view, plans))


SPOKEN = ("/v1/chat/completions", "/v1/messages", "/v1/responses")
