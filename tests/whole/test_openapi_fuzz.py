"""schemathesis over the whole OpenAPI document, with every check, signed in and not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.private_server.server import PrivateServer
from sandbox.ai_server.server import AIServer
from sandbox.stripe_server.server import StripeServer
from tests.conftest import administer
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ai_environment, production_environment, stripe_environment
from tests.whole.web_server import ROOT, WebServer

SEED = 20_260_101
CASES = 30
"""Of each operation, by chance. Those that follow from its schema come before, however many there are."""
CASES_OF_A_GUARD = 10
"""Nobody meets the guard alone, which looks at nothing that schemathesis makes up."""
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
DEVELOPMENT = {
    "FLASK_ENV": "development",
    "BCRYPT_COST": "4",
    "APPLE_BUNDLE_ID": "com.example.app",
    "APPLE_APP_ID": "1",
    "APPLE_PRODUCTS": "com.example.app.pro:pro:monthly",
}


def configuration(server: WebServer, *, signed_in: bool) -> str:
    text = CONFIGURATION.read_text()
    if signed_in:
        return text
    paths = server.get("/openapi.json").json()["paths"]
    guarded = [
        f"{method.upper()} {path}" for path, each in paths.items() for method in each if each[method]["security"]
    ]
    assert guarded
    return (
        f"{text}\n[[operations]]\ninclude-name = {json.dumps(guarded)}\ngeneration.max-examples = {CASES_OF_A_GUARD}\n"
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("signed_in", [True, False], ids=["signed-in", "nobody"])
def test_every_answer_is_as_described(
    *,
    start_web_server: StartWebServer,
    database_url: str,
    redis_url: str,
    private: PrivateServer,
    stripe: StripeServer,
    ai: AIServer,
    signed_in: bool,
) -> None:
    production = production_environment(database_url, private.url, redis_url)
    server = start_web_server({**production, **DEVELOPMENT, **stripe_environment(stripe), **ai_environment(ai)})
    url = f"http://127.0.0.1:{server.port}"
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.whole.schemathesis_hooks"}
    if signed_in:
        alice = server.register("alice")
        administer(database_url, "UPDATE users SET tier = 'enterprise', role = 'admin'")
        environ |= {"FUZZ_TOKEN": alice.access_token, "FUZZ_URL": url}
    config_file = server.log_file.with_name("schemathesis.toml")
    config_file.write_text(configuration(server, signed_in=signed_in))
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config_file)]
    command += ["run", f"{url}/openapi.json", "--url", url, "--checks", "all"]
    phases = "examples,coverage,fuzzing" + (",stateful" if signed_in else "")  # nobody is told an id to go on with
    command += ["--phases", phases, "--seed", str(SEED), "--no-color"]
    command += ["--max-examples", str(CASES), "--generation-database", "none", "--continue-on-failure"]
    done = subprocess.run(command, cwd=server.log_file.parent, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert private.seen.refused == {}
    assert (private.seen.predictions > 0) == signed_in
    assert bool(ai.books.billed) == signed_in
    assert any(not each.path.startswith("/v1/prices/") for each in stripe.seen) == signed_in
    assert "unexpected_error" not in server.output()
