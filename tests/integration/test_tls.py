"""TLS towards upstreams, and through a proxy (threats 3; T-02, T-03, T-05, T-07)."""

import pytest

from support import standard
from support.connect_proxy import ConnectProxy
from support.mock_provider import FIN, JSON, SSE, Delay, Mock, chunk, head, json_reply
from support.weir import Weir

SAY = [{"role": "user", "content": "x"}]
NAMES = ("good", "other", "expired", "stranger")


@pytest.fixture(scope="module")
def upstreams(certs):
    mocks = {name: Mock(tls=certs.chain(name)) for name in NAMES}
    yield mocks
    for m in mocks.values():
        m.stop()


def models(upstreams):
    found = [standard.openai(n, "up", m.url) for n, m in upstreams.items()]
    good = upstreams["good"]
    found.append(standard.openai("by-name", "up", f"https://localhost:{good.port}"))
    found.append(standard.anthropic("claude", "claude-up", good.url))
    return found


@pytest.fixture(scope="module")
def weir(upstreams, certs):
    config = {"model_list": models(upstreams), "router_settings": {"num_retries": 0},
              "litellm_settings": {"ssl_verify": str(certs.ca)}}  # fmt: skip
    weir = Weir(config)
    yield weir
    weir.stop()


@pytest.fixture(autouse=True)
def fresh(upstreams):
    for m in upstreams.values():
        m.reset()


def chat(weir, model, **more):
    return weir.post("/v1/chat/completions", {"model": model, "messages": SAY, **more})


@pytest.mark.parametrize("model", ["good", "by-name"])
def test_good_certificate(weir, upstreams, model):
    for stream in (False, True):
        reply = chat(weir, model, stream=stream)
        assert reply.status == 200, reply.body
    assert len({r.connection for r in upstreams["good"].requests}) == 1, "the connection is kept"


def test_anthropic_over_tls(weir):
    reply = weir.post("/v1/messages", {"model": "claude", "max_tokens": 9, "stream": True, "messages": SAY})
    assert reply.status == 200
    assert reply.body.endswith(b'event: message_stop\ndata: {"type": "message_stop"}\n\n')


@pytest.mark.parametrize("model", ["other", "expired", "stranger"])
def test_bad_certificate_is_502_and_nothing_is_sent(weir, upstreams, model):
    """F-UP-13: no retry, and no credential to whoever that is."""
    reply = chat(weir, model, num_retries=2)
    assert reply.status in (500, 502)
    assert reply.json["error"]["code"] == str(reply.status)
    assert upstreams[model].requests == []


def test_without_the_authority_nothing_is_trusted(start, upstreams):
    weir = start({"model_list": models(upstreams), "router_settings": {"num_retries": 0}})
    assert chat(weir, "good").status in (500, 502)
    assert upstreams["good"].requests == []


def test_ssl_cert_file(start, upstreams, certs):
    weir = start({"model_list": models(upstreams)}, env={"SSL_CERT_FILE": str(certs.ca)})
    assert chat(weir, "good").status == 200


def test_truncated_tls_body_is_an_error(weir, upstreams):
    """T-05: a FIN without close_notify ends nothing."""
    body = b'{"id":"c","model":"up","choices":[]}'
    upstreams["good"].on("up", [head(200, (JSON, ("Connection", "close"))) + body, Delay(0.05), FIN])
    reply = chat(weir, "good")
    assert reply.status >= 500 or reply.end == "cut"
    event = b'data: {"model":"up","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    upstreams["good"].on("up", [head(200, (SSE,), chunked=True), chunk(event), Delay(0.05), FIN])
    reply = chat(weir, "good", stream=True)
    assert b'data: {"error":' in reply.body


def test_a_large_body_both_ways(weir, upstreams):
    big = "x" * 3_000_000
    upstreams["good"].on("up", json_reply({"id": "c", "model": "up", "choices": [], "pad": big}))
    reply = chat(weir, "good", pad=big)
    assert reply.status == 200
    assert reply.json["pad"] == big
    assert upstreams["good"].request.json["pad"] == big


# --- proxies -----------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy():
    p = ConnectProxy()
    yield p
    p.stop()


def proxied(start, upstreams, certs, proxy, **env):
    plain = Mock()
    config = {"model_list": [*models(upstreams), standard.openai("plain", "up", plain.url)],
              "router_settings": {"num_retries": 0}, "litellm_settings": {"ssl_verify": str(certs.ca)}}  # fmt: skip
    return start(config, env={"HTTPS_PROXY": proxy.url, **env}), plain


def test_https_goes_through_the_proxy(start, upstreams, certs, proxy):
    weir, plain = proxied(start, upstreams, certs, proxy)
    for _ in range(3):
        assert chat(weir, "good").status == 200
    assert chat(weir, "by-name").status == 200
    assert proxy.targets[0] == f"127.0.0.1:{upstreams['good'].port}"
    assert f"localhost:{upstreams['good'].port}" in proxy.targets, "the proxy resolves names"
    assert len(proxy.targets) == 2, "tunnels are kept"
    for h in proxy.heads:
        assert standard.OPENAI_KEY.encode() not in h
        assert h.split(b"\r\n")[0].endswith(b" HTTP/1.1")
    assert chat(weir, "plain").status == 200, "HTTPS_PROXY is not for plain origins"
    assert len(proxy.targets) == 2
    plain.stop()


def test_bad_certificate_behind_the_proxy(start, upstreams, certs, proxy):
    weir, plain = proxied(start, upstreams, certs, proxy)
    assert chat(weir, "other").status in (500, 502)
    assert upstreams["other"].requests == []
    plain.stop()


@pytest.mark.parametrize("value", ["127.0.0.1", "localhost,127.0.0.1:{port}", "*"])
def test_no_proxy(start, upstreams, certs, proxy, value):
    weir, plain = proxied(start, upstreams, certs, proxy, NO_PROXY=value.format(port=upstreams["good"].port))
    assert chat(weir, "good").status == 200
    assert proxy.targets == []
    plain.stop()


def test_proxy_credentials(start, upstreams, certs, proxy):
    url = proxy.url.replace("http://", "http://user:pa%40ss-Qx7w@")
    weir, plain = proxied(start, upstreams, certs, proxy, HTTPS_PROXY=url)
    weir.secrets |= {"pa%40ss-Qx7w", "pa@ss-Qx7w"}
    assert chat(weir, "good").status == 200
    assert b"Proxy-Authorization: Basic dXNlcjpwYUBzcy1ReDd3\r\n" in proxy.heads[0]
    assert all("proxy-authorization" not in r.headers for r in upstreams["good"].requests)
    plain.stop()


def test_a_proxy_that_refuses(start, upstreams, certs):
    proxy = ConnectProxy(refuse="407 Proxy Authentication Required")
    weir, plain = proxied(start, upstreams, certs, proxy)
    assert chat(weir, "good").status in (500, 502)
    assert upstreams["good"].requests == []
    plain.stop()
    proxy.stop()
