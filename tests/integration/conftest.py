import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
pytest.register_assert_rewrite("support")

from support import pairs, plans, played, standard
from support.certs import Certs
from support.mock_provider import Mock
from support.pairs import DIRECT
from support.weir import MASTER_KEY, Weir


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds (-m 'not slow' leaves it out)")


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    return Certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="session")
def mock_server():
    mock = Mock()
    yield mock
    mock.stop()


@pytest.fixture
def mock(mock_server):
    """The shared upstream, without scripts and memories."""
    mock_server.reset()
    yield mock_server
    mock_server.reset()


@pytest.fixture(scope="session")
def weir_server(mock_server):
    weir = Weir(standard.config(mock_server.url))
    yield weir
    weir.stop()


@pytest.fixture
def weir(weir_server, mock):
    """The shared gateway with the standard configuration, in front of `mock`."""
    assert weir_server.process.poll() is None, weir_server.tail()
    return weir_server


@pytest.fixture
def at():
    """Paths short enough for a socket."""
    made = []

    def at_(name):
        path = f"/tmp/weir-at-{os.getpid()}-{len(made)}-{name}"
        made.append(path)
        return path

    yield at_
    for path in made:
        if os.path.exists(path):
            os.unlink(path)


@pytest.fixture
def plane(at):
    """A control plane that is played."""
    plane = played.Plane(at("a"))
    yield plane
    plane.close()


@pytest.fixture
def start(request):
    """Starts gateways of the test's own; they end with an inquest if the test passed."""
    started = []

    def start_(config, **kw):
        weir = Weir(config, **kw)
        started.append(weir)
        return weir

    yield start_
    failed = getattr(request.node, "call_failed", False)
    for weir in started:
        if failed:
            weir.kill()
        else:
            weir.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call":
        item.call_failed = report.failed
        weir = item.funcargs.get("weir") if hasattr(item, "funcargs") else None
        if report.failed and weir:
            report.sections.append(("gateway", weir.tail()))


@dataclass
class Endpoint:
    """Where an SDK is pointed: the gateway, or with WEIR_DIRECT=1 the mock itself."""

    url: str
    key: str


@pytest.fixture
def endpoint(request, mock):
    if DIRECT:
        return Endpoint(mock.url, MASTER_KEY)
    weir = request.getfixturevalue("weir")
    return Endpoint(weir.url, weir.key)


# --- clients of one API, upstreams of another ----------------------------------------------------------------------


@pytest.fixture(scope="session")
def model_server():
    mock = Mock(default=plans.script)
    yield mock
    mock.stop()


@pytest.fixture
def model(model_server):
    """The model of plans.py. A request that a real provider would refuse fails the test, unless it says so."""
    model_server.reset()
    yield model_server
    refused = [f"{line} {why}\n{body}" for line, body, why in model_server.refused]
    model_server.reset()
    assert not refused, "\n".join(refused)


@pytest.fixture(scope="session")
def pairs_server(model_server):
    weir = Weir(pairs.config(model_server.url))
    yield weir
    weir.stop()


@dataclass
class Place(Endpoint):
    """Where a client finds all upstreams of pairs.py."""

    direct: bool

    def name(self, upstream):
        """What a client calls it."""
        return pairs.upstream_model(upstream) if self.direct else f"{upstream}-pub"


@pytest.fixture
def place(request, model):
    if DIRECT:
        return Place(model.url, MASTER_KEY, True)
    weir = request.getfixturevalue("pairs_server")
    assert weir.process.poll() is None, weir.tail()
    return Place(weir.url, weir.key, False)
