"""What conversations are made of, whichever API carries them."""

import json
from dataclasses import dataclass


@dataclass
class Text:
    text: str


@dataclass
class Thought:
    """`seal`: its signature or encrypted form; with `redacted` nothing else is shown."""

    text: str
    seal: str = ""
    redacted: bool = False


@dataclass
class Call:
    """`args`: JSON text as the model wrote it, or with `custom` any text. Without an id one is made."""

    name: str
    args: str
    id: str = ""
    custom: bool = False

    @property
    def input(self):
        return json.loads(self.args or "{}")


@dataclass
class Result:
    id: str
    parts: list
    error: bool = False

    @property
    def text(self):
        return text_of(self.parts)


@dataclass
class Image:
    mime: str = ""
    data: str = ""  # base64
    url: str = ""


@dataclass
class Document:
    mime: str = ""
    data: str = ""  # base64, of text/plain the text itself
    name: str = ""
    url: str = ""


@dataclass
class Audio:
    format: str
    data: str


@dataclass
class Refusal:
    text: str


@dataclass
class End:
    """Why the answer ends: stop, length, or sequence (with the one that was hit)."""

    reason: str
    sequence: str = ""


@dataclass
class Fail:
    """An error reply, or after other parts an error in mid-stream."""

    status: int
    message: str = ""
    headers: tuple = ()


@dataclass
class Cut:
    """The connection ends here, in good order or not."""

    reset: bool = False


@dataclass
class Pause:
    """Nothing for a while; of no end without seconds."""

    seconds: float | None = None


@dataclass
class Pace:
    """A while after every event, wherever it stands."""

    seconds: float


def text_of(parts, between=""):
    return between.join(p.text for p in parts if isinstance(p, Text))


def of(kind, parts):
    return [p for p in parts if isinstance(p, kind)]
