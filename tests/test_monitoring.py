"""deploy/monitoring: it names metrics and labels that the code has, its alerts fire when they should, and each is explained."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

import providers.metrics  # noqa: F401 - its metrics exist where a capability with a provider is on
import realtime.metrics  # noqa: F401 - of the process that holds sockets
from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from config import load_settings
from database import db
from database.jobs.metrics import FAILED_JOBS
from security.metrics.exposition import METRICS, Metrics
from tests.databases import MigratedDatabases
from tests.whole.environment import EVERYTHING, production_environment

ROOT = Path(__file__).parents[1]
MONITORING = ROOT / "deploy" / "monitoring"
ALERTS = MONITORING / "alerts.yml"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "mirroros.json"
OF_TESTS = ("mirroros_toy", "mirroros_test")
TAKEN_BY_PROMETHEUS = {"job", "instance"}
SELECTOR = re.compile(r"(mirroros_\w+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Debian's prometheus) is not installed"
)


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def shown() -> list[str]:
    """The queries of the dashboard, as Grafana asks them."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"].replace("$__rate_interval", "1m") for panel in panels for target in panel.get("targets", ())]


def queries() -> list[str]:
    return [*(rule["expr"] for rule in rules()), *shown()]


@dataclass(frozen=True)
class Exported:
    """`labels`: what each sample can have, by its name."""

    text: str
    labels: Mapping[str, Set[str]]


@pytest.fixture(scope="module")
def exported(migrated_databases: MigratedDatabases) -> Exported:
    """With all that can be switched on."""
    with migrated_databases.kept() as url:
        app = assemble(load_settings({**production_environment(url, "https://predict.example.com"), **EVERYTHING}))
        made: Assembled = app.extensions[ASSEMBLED]
        metrics: Metrics = app.extensions[METRICS]
        text = metrics.text()
        with app.app_context():
            db.engine.dispose()
    families = {figure.name: set(figure.labels) for figure in (FAILED_JOBS, *made.payments.figures)}
    for collector in REGISTRY._collector_to_names:
        if isinstance(collector, MetricWrapperBase):
            families[collector._name] = set(collector._labelnames)
    return Exported(text, dict(labels_by_sample(text, families)))


def labels_by_sample(text: str, families: Mapping[str, Set[str]]) -> Iterator[tuple[str, Set[str]]]:
    for family in text_string_to_metric_families(text):
        if family.name.startswith(OF_TESTS):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        of_samples = {label for sample in family.samples for label in sample.labels}
        labels = families.get(family.name, families.get(name, set())) | of_samples
        if family.type == "histogram":
            yield from ((f"{name}_bucket", labels | {"le"}), (f"{name}_count", labels), (f"{name}_sum", labels))
        else:
            yield name, labels


def test_every_metric_and_label_that_is_asked_for_exists(exported: Exported) -> None:
    assert len(queries()) > 80
    for query in queries():
        for name, matchers in SELECTOR.findall(query):
            assert name in exported.labels, query
            assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)\s*\"", matchers)) <= exported.labels[name], query
        names = {name for name, _ in SELECTOR.findall(query)}
        grouped = {label for labels in GROUPED.findall(query) for label in labels.split(", ")}
        assert grouped <= {"instance"}.union(*(exported.labels[name] for name in names)), query


def test_every_metric_of_ours_is_shown_or_watched(exported: Exported) -> None:
    asked = {name for query in queries() for name, _ in SELECTOR.findall(query)}
    ours = {re.sub("_(bucket|count|sum)$", "", name) for name in exported.labels if name.startswith("mirroros_")}
    assert {name for name in ours if not any(each.startswith(name) for each in asked)} == set()


def test_names_are_as_prometheus_wants_them(exported: Exported) -> None:
    for name, labels in exported.labels.items():
        assert not labels & TAKEN_BY_PROMETHEUS, name
        if name.startswith("mirroros_"):
            assert re.fullmatch("[a-z_]+", name)


def test_what_every_process_knows_alike_is_never_added_up() -> None:
    alike = r"mirroros_(?:workers|queue_\w+|failed_jobs|inbox_\w+|billing_noted_total|part_\w+|shop_\w+)"
    for query in queries():
        assert not re.search(rf"sum(?: by \([^)]*\))? ?\((?:rate|increase)?\(?{alike}", query), query


def test_every_alert_has_an_entry_in_the_runbook_and_nothing_else_has() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    entries = re.split(r"^## ", runbook, flags=re.MULTILINE)[1:]
    assert [entry.partition("\n")[0] for entry in entries] == [rule["alert"] for rule in rules()]
    for entry in entries:
        assert re.findall(r"^\*\*(Means|Look at|Do):\*\* ", entry, re.MULTILINE) == ["Means", "Look at", "Do"], entry
    for rule in rules():
        assert rule["annotations"]["runbook_url"] == f"docs/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"critical", "warning"}


def test_links_of_the_runbook_lead_somewhere() -> None:
    for page in ("runbook.md", "monitoring.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        for path, heading in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", text):
            target = (ROOT / "docs" / (path or page)).resolve()
            assert target.exists(), path
            if heading:
                headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
                assert heading in {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}, heading


def test_the_dashboard_can_be_provisioned() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    source = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text("utf-8"))
    used = {panel["datasource"]["uid"] for panel in dashboard["panels"] if panel["type"] != "row"}
    assert used == {each["uid"] for each in source["datasources"]}


@promtool
def test_promtool_accepts_rules_configuration_queries_and_metrics(exported: Exported, tmp_path: Path) -> None:
    asked = [{"record": f"dashboard:query{number}", "expr": query} for number, query in enumerate(shown())]
    dashboard = tmp_path / "dashboard.yml"
    dashboard.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]}))
    run("check", "rules", str(ALERTS), str(dashboard))
    run("check", "config", "--syntax-only", str(MONITORING / "prometheus.yml"))
    run("check", "metrics", document=exported.text)


RISES = "0+1x90"
"""One more each minute."""
RISES_FAST = "0+600x90"
FIRES: dict[str, dict[str, str]] = {
    "ApiDown": {'up{job="mirroros-web"}': "0x90"},
    "DatabaseDown": {
        'mirroros_part_up{part="database",instance="a"}': "1x90",
        'mirroros_part_up{part="database"}': "0x90",
    },
    "RedisDown": {'mirroros_part_up{part="redis"}': "0x90"},
    "HighErrorRate": {
        'mirroros_http_requests_total{status="200"}': "0+90x90",
        'mirroros_http_requests_total{status="503"}': "0+10x90",
    },
    "InternalErrors": {'mirroros_http_requests_total{route="/a",status="500"}': RISES},
    "SlowAnswers": {
        'mirroros_http_request_duration_seconds_bucket{route="/a",le="1"}': "0+90x90",
        'mirroros_http_request_duration_seconds_bucket{route="/a",le="2.5"}': "0+100x90",
        'mirroros_http_request_duration_seconds_bucket{route="/a",le="+Inf"}': "0+100x90",
    },
    "GatewayOverheadHigh": {
        'mirroros_gateway_overhead_seconds_bucket{feature="predict",le="0.25"}': "0+90x90",
        'mirroros_gateway_overhead_seconds_bucket{feature="predict",le="0.5"}': "0+100x90",
        'mirroros_gateway_overhead_seconds_bucket{feature="predict",le="+Inf"}': "0+100x90",
    },
    "UpstreamFailing": {
        'mirroros_upstream_duration_seconds_count{feature="predict",outcome="failed"}': "0+3x90",
        'mirroros_upstream_duration_seconds_count{feature="predict",outcome="delivered"}': "0+7x90",
    },
    "BreakerOpen": {'mirroros_breaker_open{upstream="predict"}': "1x90"},
    "ProviderMisconfigured": {
        'mirroros_provider_duration_seconds_count{provider="openai",model="m",outcome="provider_misconfigured"}': RISES
    },
    "CallsTurnedAway": {'mirroros_calls_turned_away_total{feature="predict",reason="too_many_in_flight"}': RISES},
    "UsageNotRecorded": {'mirroros_usage_not_recorded_total{kind="call"}': "0x44 1x45"},
    "RefusedAtSettling": {'mirroros_refused_at_settling_total{feature="predict"}': RISES},
    "DatabasePoolExhausted": {
        'mirroros_database_pool_connections_in_use{instance="a"}': "10x90",
        'mirroros_database_pool_connections_limit{instance="a"}': "10x90",
        'mirroros_database_pool_connections_in_use{instance="b"}': "0x90",
        'mirroros_database_pool_connections_limit{instance="b"}': "10x90",
    },
    "WebThreadsExhausted": {
        'mirroros_web_threads_busy{instance="a"}': "595x90",
        'mirroros_web_threads_limit{instance="a"}': "600x90",
    },
    "ConnectionsGivenUp": {'mirroros_web_connections_given_up_total{status="408"}': RISES_FAST},
    "NoWorker": {"mirroros_workers": "0x90"},
    "WorkerNotScraped": {'up{job="mirroros-worker"}': "0x90"},
    "QueueTooOld": {'mirroros_queue_oldest_seconds{queue="mail"}': "0+60x90"},
    "DeadJobs": {'mirroros_failed_jobs{task="purge_accounts"}': "1x90"},
    "DeadEmails": {'mirroros_failed_jobs{task="send_email"}': "1x90"},
    "EmailsFailing": {
        'mirroros_emails_total{outcome="failed"}': RISES,
        'mirroros_emails_total{outcome="sent"}': "7x90",
    },
    "EmailsRefused": {
        'mirroros_emails_total{outcome="refused"}': RISES,
        'mirroros_emails_total{outcome="sent"}': "0+5x90",
    },
    "WebhooksRefused": {'mirroros_http_requests_total{route="/api/payments/stripe/webhook",status="400"}': RISES},
    "WebhooksFailing": {'mirroros_billing_events_total{provider="stripe",outcome="failed"}': RISES},
    "InboxTooOld": {"mirroros_inbox_oldest_seconds": "0+60x90"},
    "DeadEvents": {'mirroros_billing_noted_total{name="dead:stripe"}': "0x30 1x60"},
    "BillingDrift": {'mirroros_billing_noted_total{name="drift:stripe"}': "0x30 1x60"},
    "ReconcileFailing": {'mirroros_reconcile_failures_total{reconciler="stripe"}': "0x10 1x20 2x20 3x40"},
    "StockDrift": {"mirroros_shop_stock_drift_total": "0x30 2x60"},
    "ReservationsOverdue": {"mirroros_shop_reservation_overdue_seconds": "0+60x90"},
    "RefundsWaiting": {"mirroros_shop_refund_waits_seconds": "0+120x90"},
    "RefundsFailed": {'mirroros_shop_refunds_last_hour{state="failed"}': "0x40 1x50"},
    "LateMoney": {"mirroros_shop_late_money_total": "0x30 4x60"},
    "ManyLockouts": {'mirroros_lockouts_total{what="password"}': "0+10x90"},
    "ManyFailedSignIns": {
        'mirroros_sign_ins_total{method="password",outcome="failed"}': "0+20x90",
        'mirroros_sign_ins_total{method="password",outcome="ok"}': RISES,
    },
    "SecondFactorsFailing": {'mirroros_security_events_total{event="second_factor_failed"}': "0+5x90"},
    "RefreshTokensReused": {'mirroros_security_events_total{event="refresh_token_reused"}': RISES},
}
"""By alert: series, minute by minute, with which it fires in the fiftieth."""
USUAL = {
    'up{job="mirroros-web"}': "1x90",
    'up{job="mirroros-worker"}': "1x90",
    'mirroros_part_up{part="database"}': "1x90",
    'mirroros_part_up{part="redis"}': "1x90",
    "mirroros_workers": "1x90",
    'mirroros_queue_oldest_seconds{queue="mail"}': "3x90",
    'mirroros_http_requests_total{route="/a",status="200"}': "0+1000x90",
    'mirroros_http_requests_total{route="/a",status="503"}': RISES,
    'mirroros_http_requests_total{route="/api/payments/stripe/webhook",status="200"}': RISES,
    'mirroros_http_request_duration_seconds_bucket{route="/api/gateway/predict",le="1"}': "0x90",
    'mirroros_http_request_duration_seconds_bucket{route="/api/gateway/predict",le="+Inf"}': "0+100x90",
    'mirroros_http_request_duration_seconds_bucket{route="/a",le="1"}': "0+100x90",
    'mirroros_http_request_duration_seconds_bucket{route="/a",le="+Inf"}': "0+100x90",
    'mirroros_gateway_overhead_seconds_bucket{feature="predict",le="0.25"}': "0+100x90",
    'mirroros_gateway_overhead_seconds_bucket{feature="predict",le="+Inf"}': "0+100x90",
    'mirroros_upstream_duration_seconds_count{feature="predict",outcome="failed"}': RISES,
    'mirroros_upstream_duration_seconds_count{feature="predict",outcome="delivered"}': "0+9x90",
    'mirroros_breaker_open{upstream="predict"}': "0x90",
    'mirroros_usage_not_recorded_total{kind="call"}': "1x90",
    'mirroros_usage_not_recorded_total{kind="failure"}': RISES,
    'mirroros_database_pool_connections_in_use{instance="a"}': "3x90",
    'mirroros_database_pool_connections_limit{instance="a"}': "10x90",
    'mirroros_web_threads_busy{instance="a"}': "300x90",
    'mirroros_web_threads_limit{instance="a"}': "600x90",
    'mirroros_emails_total{outcome="failed"}': RISES,
    'mirroros_emails_total{outcome="sent"}': "0+50x90",
    'mirroros_emails_total{outcome="refused"}': RISES,
    'mirroros_billing_events_total{provider="stripe",outcome="applied"}': RISES,
    "mirroros_inbox_oldest_seconds": "4x90",
    'mirroros_billing_noted_total{name="dead:stripe"}': "3x90",
    'mirroros_billing_noted_total{name="drift:stripe"}': "3x90",
    'mirroros_billing_noted_total{name="stripe_missing"}': RISES,
    "mirroros_shop_late_money_total": "1x90",
    "mirroros_shop_stock_drift_total": "2x90",
    "mirroros_shop_reservation_overdue_seconds": "50x90",
    "mirroros_shop_refund_waits_seconds": "5x90",
    'mirroros_shop_refunds_last_hour{state="failed"}': "0x90",
    'mirroros_shop_refunds_last_hour{state="done"}': "3x90",
    'mirroros_lockouts_total{what="password"}': RISES,
    'mirroros_sign_ins_total{method="password",outcome="failed"}': "0+20x90",
    'mirroros_sign_ins_total{method="password",outcome="ok"}': "0+20x90",
    'mirroros_security_events_total{event="second_factor_failed"}': RISES,
}
"""A good day, on which nothing fires."""


@promtool
@pytest.mark.slow
def test_every_alert_fires_when_it_should_and_none_on_a_good_day(tmp_path: Path) -> None:
    assert list(FIRES) == [rule["alert"] for rule in rules()]

    def expects(series: dict[str, str], firing: str, count: int | None) -> dict[str, Any]:
        expected = [] if count is None else [{"labels": "{}", "value": count}]
        query = f"count(ALERTS{{{firing}}})"
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [{"expr": query, "eval_time": "50m", "exp_samples": expected}],
        }

    tests = [expects(series, f'alertname="{alert}",alertstate="firing"', 1) for alert, series in FIRES.items()]
    file = tmp_path / "test.yml"
    quiet = expects(USUAL, 'alertstate=~"pending|firing"', None)
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "tests": [*tests, quiet]}))
    run("test", "rules", str(file))


def run(*arguments: str, document: str | None = None) -> None:
    done = subprocess.run(
        ["promtool", *arguments], input=document, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
