import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from flask import Flask
from werkzeug.serving import make_server

from tests.toy_api import toy_app


@pytest.fixture
def toy() -> Flask:
    return toy_app()


@pytest.fixture
def canary() -> str:
    """A value that must not be seen again anywhere."""
    return f"canary{uuid4().hex}"


@pytest.fixture
def toy_address(toy: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, toy, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()
