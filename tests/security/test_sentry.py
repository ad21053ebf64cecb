from collections.abc import Iterator
from typing import Any

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.transport import Transport

from security.edge.request_id import note_caller
from security.logs.log import configure_logging
from security.logs.sentry import start_sentry
from tests.toy_api import ALICE, toy_app


class Captured(Transport):
    """Keeps what would have left the machine."""

    envelopes: list[Envelope]

    def __init__(self, options: dict[str, Any] | None = None) -> None:
        super().__init__(options)
        type(self).envelopes = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)


@pytest.fixture
def sentry() -> Iterator[type[Captured]]:
    configure_logging("CRITICAL")
    start_sentry("http://public@127.0.0.1:9/1", "test", "1.0.0", transport=Captured)
    yield Captured
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)
    configure_logging("INFO")


def test_a_report_says_where_and_never_with_what(sentry: type[Captured], canary: str) -> None:
    app = toy_app()

    @app.post("/toy/fail/<name>")
    def fail(name: str) -> str:
        note_caller(ALICE)
        password = {"nested": {"password": name}}
        sentry_sdk.add_breadcrumb(message=f"Bearer {canary} rt_{canary}", data={"token": canary, "m": f"tok_{canary}"})
        raise RuntimeError(f"alice.{canary}@example.com {len(password)} used 123456 with eyJ{canary}.{canary}.{canary}")

    answer = app.test_client().post(
        f"/toy/fail/name?reset={canary}",
        json={"password": canary, "new_password": canary, "deep": {"refresh_token": canary}, "code": canary},
        headers={
            "Authorization": f"Bearer {canary}",
            "Cookie": f"session={canary}",
            "X-Mirror-Signature": canary,
            "X-Anything": canary,
            "X-Forwarded-For": canary,
            "Referer": f"https://app.example.com/?{canary}",
        },
    )
    assert answer.status_code == 500
    sentry_sdk.flush()
    (envelope,) = sentry.envelopes
    event = envelope.get_event()
    assert event is not None
    sent = envelope.serialize().decode()
    assert canary not in sent
    assert "123456" not in sent
    assert event["exception"]["values"][-1]["type"] == "RuntimeError"
    assert event["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fail"
    assert event["tags"]["request_id"] == answer.headers["X-Request-ID"]
    assert event["user"] == {"id": str(ALICE)}
    assert event["request"]["url"] == "http://localhost/toy/fail/name"


@pytest.mark.parametrize("path", ["/nowhere", "/toy/wishes?limit=0"])
def test_a_clients_mistake_is_not_reported(sentry: type[Captured], path: str) -> None:
    toy_app().test_client().get(path)
    sentry_sdk.flush()
    assert sentry.envelopes == []


def test_the_numbers_of_a_trace_stay_readable(sentry: type[Captured]) -> None:
    app = toy_app()

    @app.get("/toy/broken")
    def broken() -> str:
        raise RuntimeError("a bug with 123456")

    trace, rand = "0af7651916cd43dd8448eb211c80319c", "0.628394"
    headers = {
        "sentry-trace": f"{trace}-b7ad6b7169203331-0",
        "baggage": f"sentry-trace_id={trace},sentry-sample_rand={rand},sentry-sample_rate=0.000125",
    }
    assert app.test_client().get("/toy/broken", headers=headers).status_code == 500
    sentry_sdk.flush()
    (envelope,) = sentry.envelopes
    report = envelope.get_event()
    assert report is not None
    assert "123456" not in str(report["exception"])
    assert envelope.headers["trace"]["sample_rand"] == rand
