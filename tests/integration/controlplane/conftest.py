import pytest
from support.controlplane import STORE, ControlPlane
from support.postgres import Postgres
from support.tenants import Tenants
from support.weir import Weir


@pytest.fixture(scope="session")
def postgres():
    """One server for all tests; each has databases of its own."""
    with Postgres() as pg:
        yield pg


@pytest.fixture(scope="session")
def empty_schema(postgres):
    """A database with the schema and nothing in it, to be copied: migrating each anew would take long."""
    url = postgres.database()
    ControlPlane(url).stop()
    return postgres.name(url)


@pytest.fixture
def database(postgres, empty_schema):
    return postgres.database(template=empty_schema)


@pytest.fixture
def start(request):
    """Starts control planes of the test's own; they end with an inquest if the test passed."""
    started = []

    def start_(database, config=None, **kw):
        cp = ControlPlane(database, config, **kw)
        started.append(cp)
        return cp

    yield start_
    for cp in started:
        if getattr(request.node, "call_failed", False):
            cp.kill()
        else:
            cp.stop()


@pytest.fixture
def data(request):
    """Starts data planes; they end with an inquest if the test passed."""
    started = []

    def data_(*addresses, general=None, litellm=None, **kw):
        weir = Weir({"model_list": [], "general_settings": {**STORE["general_settings"], **(general or {})},
                     "litellm_settings": litellm or {},
                     "weir": {"control_plane": list(addresses)} if addresses else {}}, **kw)  # fmt: skip
        started.append(weir)
        return weir

    yield data_
    for weir in started:
        if getattr(request.node, "call_failed", False):
            weir.kill()
        else:
            weir.stop()


@pytest.fixture(scope="module")
def cp(postgres, empty_schema):
    """A control plane shared by a module's tests."""
    with ControlPlane(postgres.database(template=empty_schema)) as cp:
        yield cp


@pytest.fixture(scope="module")
def tenants(cp, postgres):
    """Two organizations with a team each, and somebody of every role, all with keys."""
    return Tenants(cp, postgres)
