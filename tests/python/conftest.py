"""One real server for the whole run, on free ports and a directory of its own."""

import pytest

from longspan_server import LongspanServer


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    running = LongspanServer(tmp_path_factory.mktemp("longspan"))
    yield running
    running.stop()
