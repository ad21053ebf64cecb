"""GET /metrics: who may read it, what it says of requests, and that nothing that fails takes the scrape with it."""

import logging
import secrets
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import REGISTRY, Gauge
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from app import assemble
from config import SettingsInvalid, load_settings
from security.api.operation import OPERATIONS_KEY
from security.metrics.exposition import CONTENT_TYPE, METRICS, BuildInfo, Metrics
from security.metrics.listener import metrics_listener
from security.metrics.live import Live
from security.metrics.process_files import VARIABLE, complete_counts, make_folder, process_ended, remove_folder
from tests.whole.environment import PUBLIC_HOST, production_environment

NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
TOKEN = secrets.token_urlsafe(48)
BASE = f"https://{PUBLIC_HOST}"
SCRAPER = {"Authorization": f"Bearer {TOKEN}"}


def assembled(**changes: str) -> Flask:
    return assemble(load_settings({**production_environment(NOWHERE, "https://predict.example.com"), **changes}))


@pytest.fixture(scope="module")
def app() -> Flask:
    return assembled(METRICS_TOKEN=TOKEN, TRUSTED_PROXY_HOPS="1")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0


def test_whoever_has_the_token_reads_the_metrics(client: FlaskClient) -> None:
    answer = client.get("/metrics", base_url=BASE, headers=SCRAPER)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, CONTENT_TYPE)
    assert 'mirroros_build_info{environment="production",version="' in answer.text
    # PostgreSQL cannot be reached: that is said, and nothing else is missing.
    assert 'mirroros_part_up{part="database"} 0.0' in answer.text
    assert 'mirroros_breaker_open{upstream="predict"} 0.0' in answer.text


WRONG = {
    "none": {},
    "another token": {"Authorization": f"Bearer {secrets.token_urlsafe(48)}"},
    "a part of it": {"Authorization": f"Bearer {TOKEN[:-1]}"},
    "another scheme": {"Authorization": f"Basic {TOKEN}"},
    "no scheme": {"Authorization": TOKEN},
    "no ASCII": {"Authorization": f"Bearer {TOKEN}\xe9"},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG.keys())
def test_to_everybody_else_there_is_nothing_here(client: FlaskClient, headers: dict[str, str]) -> None:
    refused = client.get("/metrics", base_url=BASE, headers=headers)
    ordinary = client.get("/nowhere", base_url=BASE, headers=headers)
    assert told(refused) == told(ordinary)


def test_without_the_setting_there_is_nothing_here() -> None:
    client = assembled().test_client()
    ordinary = client.get("/nowhere", base_url=BASE)
    assert told(client.get("/metrics", base_url=BASE, headers=SCRAPER)) == told(ordinary)


def told(answer: Any) -> Any:
    """All that a client sees, without what names one request."""
    document = {name: text for name, text in answer.get_json().items() if name not in {"request_id", "instance"}}
    headers = {name: text for name, text in answer.headers if name not in {"X-Request-ID", "Content-Length"}}
    return answer.status_code, document, headers


def test_it_is_declared_and_left_out_of_the_document(app: Flask, client: FlaskClient) -> None:
    assert "metrics.getMetrics" in app.extensions[OPERATIONS_KEY]
    assert "/metrics" not in client.get("/openapi.json", base_url=BASE).get_json()["paths"]


INSIDE = {"REMOTE_ADDR": "10.1.2.3"}


def test_a_scraper_beside_us_needs_neither_https_nor_a_name(client: FlaskClient) -> None:
    for path, status in (("/metrics", 200), ("/api/payments/plans", 403)):
        by_number = client.get(path, base_url="http://10.1.2.4:8000", headers=SCRAPER, environ_base=INSIDE)
        assert by_number.status_code == status
    assert (
        client.get("/metrics", base_url=f"http://{PUBLIC_HOST}", headers=SCRAPER, environ_base=INSIDE).status_code
        == 200
    )


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        ("8.8.4.4", {}),
        ("10.1.2.3", {"X-Forwarded-For": "198.51.100.7"}),
        ("10.1.2.3", {"X-Forwarded-Proto": "http"}),
    ],
)
def test_the_token_never_crosses_the_internet_in_the_open(
    client: FlaskClient, peer: str, forwarded: dict[str, str]
) -> None:
    answer = client.get(
        "/metrics",
        base_url=f"http://{PUBLIC_HOST}",
        headers={**SCRAPER, **forwarded},
        environ_base={"REMOTE_ADDR": peer},
    )
    assert answer.get_json()["error"] == "https_required"


def test_a_weak_token_and_a_port_without_a_token_are_refused() -> None:
    for changes, complaint in (
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN"),
        ({"WORKER_METRICS_PORT": "9090"}, "METRICS_TOKEN must be set as well, like WORKER_METRICS_PORT"),
    ):
        with pytest.raises(SettingsInvalid, match=complaint):
            assembled(**changes)


def test_requests_are_counted_by_rule_and_never_by_path(client: FlaskClient) -> None:
    rule = "/api/auth/sessions/<uuid:session_id>"
    names = {
        rule: {"route": rule, "method": "DELETE", "status": "401"},
        "unmatched": {"route": "unmatched", "method": "GET", "status": "404"},
        "made up": {"route": "unmatched", "method": "other", "status": "404"},
    }
    before = {name: value("mirroros_http_requests_total", **labels) for name, labels in names.items()}
    timed = value("mirroros_http_request_duration_seconds_count", route=rule)
    sized = value("mirroros_http_response_size_bytes_sum", route=rule)
    answer = client.delete("/api/auth/sessions/018f7f6c-0000-7000-8000-000000000001", base_url=BASE)
    for method in ("GET", f"X{secrets.token_hex(4).upper()}"):
        client.open(f"/{secrets.token_hex(8)}", method=method, base_url=BASE)
    assert {
        name: value("mirroros_http_requests_total", **labels) - before[name] for name, labels in names.items()
    } == dict.fromkeys(names, 1)
    assert value("mirroros_http_request_duration_seconds_count", route=rule) == timed + 1
    assert value("mirroros_http_response_size_bytes_sum", route=rule) == sized + len(answer.data)


class Broken(Collector):
    def collect(self) -> Iterator[Any]:
        yield Gauge("mirroros_half", "half", registry=None)
        raise RuntimeError


def test_a_collector_that_fails_leaves_the_others() -> None:
    text = Metrics((Broken(), BuildInfo("1.2.3", "staging")), ()).text()
    assert "mirroros_half" not in text
    assert 'mirroros_build_info{environment="staging",version="1.2.3"} 1.0' in text


def test_a_gauge_that_cannot_be_read_ends_nothing(metrics: Metrics) -> None:
    def fails() -> float:
        raise RuntimeError

    metrics.watch(Live(Gauge("mirroros_test_broken", "broken", registry=None), fails))
    assert "mirroros_test_jobs 3.0" in metrics.text()


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    jobs = Gauge("mirroros_test_jobs", "jobs of a test")
    yield Metrics((), [Live(jobs, lambda: 3)])
    REGISTRY.unregister(jobs)


def test_a_listener_serves_what_the_route_does(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), metrics_listener(metrics, TOKEN, 0):
        (port,) = [record.port for record in caplog.records if record.message == "metrics_served"]  # type: ignore[attr-defined]
        assert asked(port, "GET", "/metrics", SCRAPER) == (200, True)
        assert asked(port, "GET", "/metrics", {}) == (404, False)
        assert asked(port, "GET", "/", SCRAPER) == (404, False)
        assert asked(port, "POST", "/metrics", SCRAPER) == (501, False)
        with socket.create_connection(("127.0.0.1", port)) as nonsense:
            nonsense.sendall(b"\x16\x03\x01\r\n\r\n")
        assert asked(port, "GET", "/metrics", SCRAPER) == (200, True)
    with pytest.raises(OSError, match="refused"):
        asked(port, "GET", "/metrics", SCRAPER)


def asked(port: int, method: str, path: str, headers: dict[str, str]) -> tuple[int, bool]:
    """The status, and whether the metrics came."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, "mirroros_test_jobs 3.0" in answer.read().decode()


def test_a_port_that_is_taken_is_logged_and_ends_nothing(metrics: Metrics, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("", 0)) as taken, metrics_listener(metrics, TOKEN, taken.getsockname()[1]):
        assert [record.message for record in caplog.records] == ["metrics_not_served"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(VARIABLE, "")  # so that it is put back
    make_folder(str(tmp_path))
    (made,) = tmp_path.iterdir()
    yield made
    remove_folder()
    assert list(tmp_path.iterdir()) == []


def leave_counts(folder: Path, pid: int, count: float) -> None:
    for kind in ("counter", "gauge_livesum"):
        file = MmapedDict(str(folder / f"{kind}_{pid}.db"))  # type: ignore[no-untyped-call]
        name = f"mirroros_test_{kind}"
        sample = f"{name}_total" if kind == "counter" else name
        file.write_value(mmap_key(name, sample, ["a"], ["b"], "help"), count, 0.0)  # type: ignore[no-untyped-call]
        file.close()  # type: ignore[no-untyped-call]


def shared() -> tuple[float, float]:
    text = Metrics((), ()).text()
    found = {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}
    return found["mirroros_test_counter_total"], found["mirroros_test_gauge_livesum"]


def test_counts_of_processes_that_ended_stay_and_their_files_and_gauges_do_not(folder: Path) -> None:
    for pid, count in ((11, 1), (12, 20), (13, 300)):
        leave_counts(folder, pid, count)
    assert shared() == (321, 321)
    process_ended(11, {12, 13})
    assert shared() == (321, 320)
    leave_counts(folder, 11, 4000)  # the number is given again
    process_ended(12, {11, 13})
    assert shared() == (4321, 4300)
    assert {file.name for file in folder.glob("counter_*")} == {"counter_11.db", "counter_13.db", "counter_ended.db"}


def test_a_process_that_ends_while_somebody_reads_is_added_at_the_next_end(folder: Path) -> None:
    for pid in (11, 12):
        leave_counts(folder, pid, 1)
    with complete_counts(str(folder)):
        process_ended(11, {12})  # the master does not wait
        assert (folder / "counter_11.db").exists()
        assert not (folder / "gauge_livesum_11.db").exists()
    process_ended(12, set())
    assert {file.name for file in folder.glob("*.db")} == {"counter_ended.db"}


def test_where_no_folder_was_made_the_end_of_a_process_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    process_ended(11, set())
    assert METRICS in assembled().extensions
