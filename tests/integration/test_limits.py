"""Limits and framing of requests (threats 1 and 2): each refused with its status, nothing of it sent upstream."""

import json

import pytest

from support.http import Client

CHAT = b'{"model":"gpt-pub","messages":[]}'


def raw(weir, data, timeout=3):
    with Client(weir.port, timeout) as c:
        c.send(data)
        return c.read_reply(), c.at_end(2.0)


def post(weir, *lines, body=CHAT, line="POST /v1/chat/completions HTTP/1.1", host="Host: weir"):
    head = [line, *([host] if host else []), f"Authorization: Bearer {weir.key}", *lines]
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body


LENGTH = f"Content-Length: {len(CHAT)}"


@pytest.mark.parametrize(
    "status,lines,line",
    [
        (414, [LENGTH], "POST /v1/chat/completions?" + "a" * 9000 + " HTTP/1.1"),
        (431, [LENGTH, "X-Long: " + "a" * 17_000], None),
        (431, [LENGTH, *(f"X-{i}: 1" for i in range(110))], None),
        (431, [LENGTH, *(f"X-{i}: {'a' * 5000}" for i in range(8))], None),
        (505, [LENGTH], "POST /v1/chat/completions HTTP/2.0"),
        ((400, 505), [LENGTH], "POST /v1/chat/completions HTTP/1.2"),
        (505, [LENGTH], "POST /v1/chat/completions"),
        (400, [LENGTH], "POST /v1/chat/\x80completions HTTP/1.1"),
        (400, [LENGTH], "POST /v1//chat/completions HTTP/1.1"),
        ((400, 404), [LENGTH], "POST /v1/chat/completions%00 HTTP/1.1"),
        (400, [LENGTH], "POST /v1/./chat/completions HTTP/1.1"),
        (400, [LENGTH, "X-A: a\x00b"], None),
        (400, [LENGTH, "X-A: a\x01b"], None),
        (400, [LENGTH, ": nameless"], None),
        (400, ["Content-Length: +33"], None),
        (400, ["Content-Length: 0x21"], None),
        (400, ["Content-Length: "], None),
        (400, ["Content-Length: 33, 33"], None),
        (400, ["Content-Length: -1"], None),
        ((400, 413), ["Content-Length: 18446744073709551615"], None),
        (400, ["Content-Length: 18446744073709551617"], None),
        (400, ["Transfer-Encoding: ,chunked"], None),
        (400, ["Transfer-Encoding: chunked, chunked"], None),
        (400, ["Transfer-Encoding: identity"], None),
        (400, ["Transfer-Encoding: xchunked"], None),
        (415, [LENGTH, "Content-Encoding: gzip"], None),
    ],
)
def test_head_is_refused(weir, mock, status, lines, line):
    data = post(weir, *lines, **({"line": line} if line else {}))
    reply, closed = raw(weir, data)
    assert reply.status in (status if isinstance(status, tuple) else (status,)), reply.body
    assert reply.header("connection") == "close" and closed
    assert mock.requests == []


@pytest.mark.parametrize(
    "body",
    [
        b"FFFFFFFFFFFFFFFF\r\n" + CHAT,
        b"21\r\n" + CHAT + b"XX0\r\n\r\n",
        b"00000000000000000000000000000021\r\n" + CHAT + b"\r\n0\r\n\r\n",
        b"21;" + b"a" * 400 + b"\r\n" + CHAT + b"\r\n0\r\n\r\n",
        b"21\n" + CHAT + b"\r\n0\r\n\r\n",
        b"21\r\n" + CHAT + b"0\r\n\r\n",
        b"-21\r\n" + CHAT + b"\r\n0\r\n\r\n",
        b" 21\r\n" + CHAT + b"\r\n0\r\n\r\n",
        b"21\r\n" + CHAT + b"\r\n0\r\nX: " + b"a" * 5000 + b"\r\n\r\n",
        b"1;" + b"\r\n1\r\n" * 10,
    ],
)
def test_chunks_are_refused(weir, mock, body):
    """H-04"""
    reply, closed = raw(weir, post(weir, "Transfer-Encoding: chunked", body=body))
    assert reply.status in (400, 413, 431), reply.body
    assert closed
    assert mock.requests == []


def test_a_body_in_chunks_of_one_byte(weir, mock):
    """Framing may not cost more than the bound allows: 64 KiB of it are fine, a megabyte is not."""
    small = b"".join(b"1\r\n%c\r\n" % c for c in CHAT) + b"0\r\n\r\n"
    reply, _ = raw(weir, post(weir, "Transfer-Encoding: chunked", body=small))
    assert reply.status == 200
    mock.requests.clear()
    large = b"1\r\n \r\n" * 200_000
    with Client(weir.port) as c:
        try:
            c.send(post(weir, "Transfer-Encoding: chunked", body=large))
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert c.read_reply().status in (400, 413)
    assert mock.requests == []


def test_blank_lines_before_a_request(weir):
    """H-18: two are forgiven."""
    assert raw(weir, b"\r\n\r\n" + b"GET /health/liveliness HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n")[0].status == 200
    with Client(weir.port) as c:
        c.send(b"\r\n" * 50 + b"GET /health/liveliness HTTP/1.1\r\nHost: w\r\n\r\n")
        assert c.read_reply().status == 400


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "get"])
def test_methods_nobody_offers(weir, mock, method):
    """H-09"""
    target = "weir:443" if method == "CONNECT" else "/v1/chat/completions"
    reply, _ = raw(weir, f"{method} {target} HTTP/1.1\r\nHost: weir\r\n\r\n".encode())
    assert reply.status in (400, 405, 501), reply.status
    assert mock.requests == []


def test_upgrade_is_ignored(weir):
    """H-10: answered normally; nothing behind it is taken for another protocol."""
    reply, _ = raw(weir, b"GET /health/liveliness HTTP/1.1\r\nHost: w\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert reply.status == 200


def test_preface_of_http_2(weir):
    with Client(weir.port) as c:
        c.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert c.read_reply().status in (400, 505)


@pytest.mark.parametrize("n,status", [(1_000, 200), (11_000, 400)])
def test_how_many_fields(weir, mock, n, status):
    """Section 1 of the limits: 10,000 keys in an object."""
    body = {"model": "gpt-pub", "messages": [], **{f"k{i}": i for i in range(n)}}
    reply = weir.post("/v1/chat/completions", body)
    assert reply.status == status, reply.body
    assert len(mock.requests) == (status == 200)


def test_error_bodies_echo_little(weir):
    """H-22: 64 characters of what the client sent at most, and those made harmless."""
    name = "<script>" + "A" * 5000 + "\x1b[31m"
    reply = weir.post("/v1/chat/completions", {"model": name, "messages": []})
    assert reply.status == 400
    assert len(reply.body) < 600
    assert "A" * 65 not in json.dumps(reply.json)
