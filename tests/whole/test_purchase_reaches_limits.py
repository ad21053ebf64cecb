"""A purchase at the App Store changes the limits of the very next request, in every process, and so does a refund."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from examples.private_server.server import PrivateServer
from sandbox.apple_server.server import AppleServer
from tests.canary import canary
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.web_server import ROOT, Person, WebServer

PRO = "com.mirroros.pro.monthly"
NOTIFICATIONS = "/api/payments/apple/notifications"


@pytest.fixture
def apple() -> Iterator[AppleServer]:
    server = AppleServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def environ(
    apple: AppleServer, tmp_path: Path, database_url: str, redis_url: str, private: PrivateServer
) -> dict[str, str]:
    """Development, because production trusts no App Store but Apple's."""
    root = tmp_path / "root.der"
    root.write_bytes(apple.root_certificate)
    return {
        **production_environment(database_url, private.url, redis_url),
        "FLASK_ENV": "development",
        "BCRYPT_COST": "4",
        "APPLE_BUNDLE_ID": apple.app.bundle_id,
        "APPLE_APP_ID": str(apple.app.app_apple_id),
        "APPLE_PRODUCTS": f"{PRO}:pro:monthly",
        "APPLE_SHARED_SECRET": apple.app.shared_secret,
        "APPLE_ROOT_CERTIFICATE": str(root),
        "APPLE_PRODUCTION_URL": apple.production.url,
        "APPLE_SANDBOX_URL": apple.sandbox.url,
    }


def work_once(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "flask", "worker", "run", "--once"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    canary.look_at(f"{done.stdout}{done.stderr}", "the output of a worker")
    assert done.returncode == 0, done.stderr


def limits_of(server: WebServer, person: Person) -> set[tuple[str, int, str | None]]:
    """The tier and the day's limit, and what a prediction says is the tightest limit, asked of every process."""
    seen = set()
    for _ in range(4):
        usage = server.get("/api/gateway/predict/usage", person.access_token).json()
        seen.add((usage["tier"], usage["limit"], server.predict(person).headers["X-RateLimit-Limit"]))
    return seen


@pytest.mark.slow
def test_buying_and_refunding(start_web_server: StartWebServer, apple: AppleServer, environ: dict[str, str]) -> None:
    server = start_web_server(environ)
    alice = server.register("alice")
    assert limits_of(server, alice) == {("free", 5, "5")}
    token = server.get("/api/payments/apple/account-token", alice.access_token).json()["account_token"]
    bought = apple.production.store.subscribe("alice", PRO, UUID(token))

    handed_in = {"receipt_data": apple.production.receipt_for("alice")}
    answer = server.post("/api/payments/apple/validate-receipt", handed_in, alice.access_token)
    assert (answer.status, answer.json()["tier"]) == (200, "pro"), answer.body

    assert limits_of(server, alice) == {("pro", 100, "60")}
    assert server.get("/api/payments/subscription", alice.access_token).json()["managed_by"] == "apple"

    apple.production.store.refund(bought.latest.transaction_id)
    for news in apple.production.notifications.pending():
        told = server.post(NOTIFICATIONS, {"signedPayload": news.signed_payload})
        assert (told.status, told.body) == (200, b"")
    work_once(environ)

    assert limits_of(server, alice) == {("free", 5, "5")}
    assert (
        server.get("/api/payments/subscription", alice.access_token).json()["subscriptions"][0]["status"] == "revoked"
    )
