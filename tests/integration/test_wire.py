"""Wire cases of tests/cases/relay: whole, byte by byte, and cut at each offset of both legs."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from support import cases, standard
from support.mock_provider import Mock
from support.weir import RELEASE, Weir

ALL = cases.all_cases("relay")
BY_NAME = {c.name: c for c in ALL}
DENSE = 900  # offsets beyond are taken every STRIDE bytes
STRIDE = 7
BUCKETS = ("input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning")


@pytest.fixture(scope="module")
def upstream():
    mock = Mock()
    for case in ALL:
        cases.install(case, mock)
    yield mock
    mock.stop()


def gateway(upstream, **kw):
    config = {
        "model_list": [c.deployment(upstream.url) for c in ALL],
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    return Weir(config, **kw)


@pytest.fixture(scope="module")
def checked(upstream):
    weir = gateway(upstream)
    yield weir
    weir.stop()


@pytest.fixture(scope="module")
def released(upstream):
    weir = gateway(upstream, build=RELEASE)
    yield weir
    weir.stop()


@pytest.mark.parametrize("name", BY_NAME)
def test_whole(name, checked):
    case = BY_NAME[name]
    reply = cases.play(case, checked.port, checked.key)
    if usage := case.sections.get("usage"):
        check_usage(checked, reply, usage)


def check_usage(weir, reply, usage):
    id_ = reply.header("x-litellm-call-id")
    weir.wait(lambda: any(r["request_id"] == id_ for r in weir.spool()), what="the usage record")
    (record,) = [r for r in weir.spool() if r["request_id"] == id_]
    for name, value in usage.items():
        got = record["usage"].get(name, 0) if name in BUCKETS else record[name]
        assert str(got) == value, f"{name}: {got} in {record}"


def test_byte_by_byte(checked):
    """All cases side by side, since most of it is waiting."""
    _play_all(checked, ALL, lambda case: ["byte"])


@pytest.mark.slow
def test_cut_at_each_offset(released):
    def offsets(case):
        n = cases.length(case, released.key)
        if case.options.get("split") == "no":
            return []
        return [k for k in range(1, n) if k <= DENSE or k % STRIDE == 0]

    _play_all(released, ALL, offsets)


def _play_all(weir, some, variants):
    """Every variant of every case; cases run side by side, their variants in turn. All failures are told."""

    def one(case):
        for v in variants(case):
            try:
                cases.play(case, weir.port, weir.key, v)
            except (AssertionError, OSError, EOFError) as e:
                return f"{case.name} at {v}: {type(e).__name__} {e}"
        return None

    with ThreadPoolExecutor(12) as pool:
        failures = [f for f in pool.map(one, some) if f]
    assert not failures, "\n\n".join(failures)
