"""Metrics of two web processes and a worker: whichever is asked, they add up to what was done."""

import json
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from tempfile import gettempdir
from uuid import uuid4

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from examples.private_server.server import PrivateServer
from examples.private_server.switches import Fault, Switches
from tests.conftest import administer
from tests.metering.limit_backends import eventually
from tests.whole.conftest import StartWebServer
from tests.whole.environment import production_environment
from tests.whole.real_worker import RealWorker
from tests.whole.web_server import WebServer

TOKEN = secrets.token_urlsafe(48)
PREDICT = "/api/gateway/predict"
PLANS = "/api/payments/plans"
ASKED_PLANS = 40
ASKED_BEFORE_A_RELOAD = 10
"""Most of them within the last second of the processes."""
APPLIED = 3
SHARED_WITHIN = 60
"""Seconds, for a process that starts on a busy machine. Then it shares its counts once a second."""
ENQUEUE = """
    SELECT procrastinate_defer_jobs_v1(ARRAY[
        ROW('default', 'apply_billing_event', 20, NULL, NULL, '{{"event_id": "{}"}}', NULL)::procrastinate_job_to_defer_v1
    ])
"""
Samples = dict[str, float]


def samples_of(text: str) -> Samples:
    """`name{label="value",…}` to value, the labels sorted."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


def scraped(server: WebServer) -> Samples:
    reply = server.get("/metrics", TOKEN)
    assert reply.status == 200, reply.body
    return samples_of(reply.body.decode())


def worker_scraped(worker: RealWorker) -> Samples:
    lines = [json.loads(line) for line in worker.log_file.read_text().splitlines() if line.startswith("{")]
    (port,) = [line["port"] for line in lines if line["event"] == "metrics_served"]
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        return samples_of(connection.getresponse().read().decode())


def requests(route: str, method: str, status: int) -> str:
    return f'mirroros_http_requests_total{{method="{method}",route="{route}",status="{status}"}}'


EXPECTED = {
    requests(PLANS, "GET", 200): ASKED_PLANS,
    requests("unmatched", "GET", 404): 2,
    requests("/api/auth/register", "POST", 201): 1,
    requests(PREDICT, "POST", 200): 5,
    requests(PREDICT, "POST", 429): 2,
    requests(PREDICT, "POST", 502): 1,
    f'mirroros_http_request_duration_seconds_count{{route="{PREDICT}"}}': 8,
    f'mirroros_http_response_size_bytes_count{{route="{PREDICT}"}}': 8,
    'mirroros_limit_decisions_total{decision="admitted",feature="predict",policy=""}': 6,
    'mirroros_limit_decisions_total{decision="refused",feature="predict",policy="day"}': 2,
    'mirroros_upstream_duration_seconds_count{feature="predict",outcome="delivered"}': 5,
    'mirroros_upstream_duration_seconds_count{feature="predict",outcome="failed"}': 1,
    'mirroros_gateway_overhead_seconds_count{feature="predict"}': 5,
    'mirroros_calls_in_flight{upstream="predict"}': 0,
    'mirroros_breaker_open{upstream="predict"}': 0,
    "mirroros_web_threads_limit{}": 2 * 64,
    "mirroros_database_pool_connections_limit{}": 2 * 10,
    'mirroros_part_up{part="database"}': 1,
    'mirroros_part_up{part="redis"}': 1,
    'mirroros_part_up{part="worker"}': 1,
    "mirroros_workers{}": 1,
    'mirroros_failed_jobs{task="apply_billing_event"}': 1,
}


@pytest.fixture
def worker(database_url: str, redis_url: str, private: PrivateServer, tmp_path: Path) -> Iterator[RealWorker]:
    environ = {**production_environment(database_url, private.url, redis_url), "METRICS_TOKEN": TOKEN}
    worker = RealWorker({**environ, "WORKER_METRICS_PORT": "0"}, tmp_path)
    worker.start()
    yield worker
    worker.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_scraped_adds_up_to_what_was_sent_through_reloads_and_kills(
    start_web_server: StartWebServer, database_url: str, redis_url: str, private: PrivateServer, worker: RealWorker
) -> None:
    environ = {**production_environment(database_url, private.url, redis_url), "METRICS_TOKEN": TOKEN}
    server = start_web_server(environ)
    do_what_is_expected(server, database_url, private)
    worker.wait_until_idle()
    counts = worker_scraped(worker)
    assert counts['mirroros_jobs_total{outcome="done",task="apply_billing_event"}'] == APPLIED
    assert counts['mirroros_jobs_total{outcome="failed",task="apply_billing_event"}'] == 1
    assert_scraped(server)

    folder, master = folder_of(server), server.workers()[0].parent()
    assert master is not None
    for reloads in (1, 2):
        for _ in range(ASKED_BEFORE_A_RELOAD):
            assert server.get(PLANS).status == 200
        replace_workers(server, lambda: master.send_signal(signal.SIGHUP))
        assert_scraped(server, asked_more=reloads * ASKED_BEFORE_A_RELOAD)
    replace_workers(server, lambda: kill_all(server))
    assert_scraped(server, asked_more=2 * ASKED_BEFORE_A_RELOAD)
    # The files of the ten processes that were.
    owners = {file.stem.rpartition("_")[2] for file in folder.glob("*.db")}
    assert owners == {"ended", *(str(each.pid) for each in server.workers())}
    server.stop()
    assert not folder.exists()


def do_what_is_expected(server: WebServer, database_url: str, private: PrivateServer) -> None:
    for _ in range(ASKED_PLANS):
        assert server.get(PLANS).status == 200
    assert {server.get(f"/nowhere/{secrets.token_hex(4)}").status for _ in range(2)} == {404}
    alice = server.register("alice")
    private.switches = Switches(fault=Fault.STATUS, status=500)
    assert server.predict(alice).status == 502
    private.switches = Switches()
    assert [server.predict(alice).status for _ in range(7)] == [200] * 5 + [429] * 2
    for event_id in (*(str(uuid4()) for _ in range(APPLIED)), "not a UUID"):
        administer(database_url, ENQUEUE.format(event_id))


def assert_scraped(server: WebServer, asked_more: int = 0) -> None:
    """Soon, and then it stays so."""
    expected = EXPECTED | {requests(PLANS, "GET", 200): ASKED_PLANS + asked_more}

    def differences() -> dict[str, float | None]:
        found = scraped(server)
        return {name: found.get(name) for name, value in expected.items() if found.get(name) != value}

    with suppress(AssertionError):
        eventually(lambda: not differences() or None, SHARED_WITHIN, 0.2)
    assert differences() == {}


def kill_all(server: WebServer) -> None:
    for each in server.workers():
        each.kill()


def folder_of(server: WebServer) -> Path:
    (folder,) = {
        file.parent
        for each in server.workers()
        for parent in (Path("/dev/shm"), Path(gettempdir()))  # noqa: S108
        for file in parent.glob(f"mirroros-metrics-*/counter_{each.pid}.db")
    }
    assert {file.stem for file in folder.glob("counter_*.db")} == {f"counter_{each.pid}" for each in server.workers()}
    return folder


def replace_workers(server: WebServer, end: Callable[[], object]) -> None:
    before = server.workers()
    end()
    psutil.wait_procs(before, timeout=60)
    eventually(lambda: len(set(server.workers()) - set(before)) == server.processes or None, 60, 0.1)
