"""What the tests of several SDKs share."""

import openai
from pydantic import BaseModel


class Home(BaseModel):
    city: str


class Person(BaseModel):
    """What plans.PERSON is an instance of."""

    name: str
    age: int
    tags: list[str]
    home: Home


# status of the upstream, the SDK's class, the status seen (None: any of the class)
OPENAI_ERRORS = [
    (400, openai.BadRequestError, 400),
    (401, openai.AuthenticationError, 401),
    (404, openai.NotFoundError, 404),
    (429, openai.RateLimitError, 429),
    (500, openai.InternalServerError, 500),
    (529, openai.InternalServerError, None),
]


def check_openai_error(error, status, seen):
    assert error.status_code == seen or (seen is None and error.status_code >= 500)
    assert f"upstream says {status}" in error.message
    assert error.body.keys() >= {"message", "type", "param", "code"}
    if status in (429, 529):
        assert error.response.headers["retry-after"] == "7"


def check_abort(stream, events, mock):
    """Leaving a stream after some events ends the upstream's connection."""
    for _ in range(events):
        next(stream)
    conn = mock.requests[-1].conn
    assert conn.lost_at is None
    stream.close()
    mock.wait(lambda: conn.eof_at or conn.lost_at, 2.0, "upstream closed")


def once(values):
    """Without repetitions in a row."""
    return [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]]
