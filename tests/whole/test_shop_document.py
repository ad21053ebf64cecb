"""The lines of docs/shop.md for app developers, run one after the other as they stand there."""

import json
import os
import re
import subprocess

import pytest

from examples.private_server.server import PrivateServer
from sandbox.services import ROOT
from sandbox.stripe_server.server import StripeServer
from tests.whole.buying import open_shop
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ALL, production_environment, stripe_environment

PAGE = ROOT / "docs" / "shop.md"


@pytest.mark.slow
def test_an_order_is_placed_paid_watched_and_cancelled(
    start_web_server: StartWebServer, stripe: StripeServer, private: PrivateServer, database_url: str, redis_url: str
) -> None:
    """On http, as `make run` serves it."""
    environ = {
        **production_environment(database_url, private.url, redis_url),
        **stripe_environment(stripe),
        "CAPABILITIES": ALL,
        "FLASK_ENV": "development",
        "TRUSTED_PROXY_HOPS": "0",
        "BCRYPT_COST": "4",
    }
    del environ["PUBLIC_BASE_URL"]
    server = start_web_server(environ, processes=1)
    open_shop(server, server.register("admin"), database_url, products=1)
    section = PAGE.read_text(encoding="utf-8").partition("## For app developers")[2].partition("\n## ")[0]
    script = "\necho\n".join(re.findall(r"^```bash\n(.*?)^```", section, re.MULTILINE | re.DOTALL))
    assert script.count("curl ") == 12
    script = script.replace("http://localhost:8000", f"http://127.0.0.1:{server.port}").replace(
        "\ncurl", "\necho\ncurl"
    )
    done = subprocess.run(
        ["bash", "-eu", "-c", script], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    *_, confirmed, order, events, cancelled = (json.loads(line) for line in done.stdout.splitlines() if line)
    assert (confirmed["status"], order["status"], order["payment_status"]) == ("succeeded", "confirmed", "paid")
    assert [each["to_status"] for each in events["events"]] == ["confirmed", "pending"]
    assert cancelled["status"] == "cancelled"
