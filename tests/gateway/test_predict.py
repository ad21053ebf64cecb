"""POST /api/gateway/predict: what a good call answers, charges and records."""

import hashlib
import hmac
import uuid
from collections.abc import Iterator
from uuid import UUID

import orjson
import pytest

from auth.tiers import Tier
from tests.gateway.running_gateway import QUESTION, RunningGateway, running_gateway


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url) as running:
        yield running


def test_an_answer_is_the_private_servers_result_with_metadata(gateway: RunningGateway) -> None:
    answer = gateway.ask()
    assert answer.status_code == 200
    document = answer.get_json()
    assert document["kind"] == "baseline"
    assert 0 <= document["prediction"]["probability"] <= 1
    metadata = document["metadata"]
    assert set(metadata) == {"request_id", "user_tier", "response_time_ms", "predictions_remaining_today"}
    assert (metadata["user_tier"], metadata["predictions_remaining_today"]) == ("free", 4)
    assert UUID(metadata["request_id"]).version == 7


def test_a_delivered_prediction_is_counted_once_and_leaves_one_row(gateway: RunningGateway) -> None:
    answer = gateway.ask()
    (row,) = gateway.requests()
    assert str(row["id"]) == answer.get_json()["metadata"]["request_id"]
    assert (row["success"], row["error_code"], row["status"], row["tier"]) == (True, None, 200, "free")
    assert str(row["user_id"]) == str(gateway.alice)
    assert gateway.used() == 1
    assert gateway.reserved() == 0


def test_the_private_server_gets_the_call_under_the_same_id(gateway: RunningGateway) -> None:
    answer = gateway.ask()
    assert gateway.private.seen.request_ids == [answer.get_json()["metadata"]["request_id"]]


def test_the_row_holds_a_keyed_hash_and_no_word_of_the_request(gateway: RunningGateway) -> None:
    gateway.ask()
    gateway.ask()
    gateway.ask({**QUESTION, "context": "I ran a half marathon"})
    first, second, other = gateway.requests()
    canonical = {**QUESTION, "context": "", "options": {"enhanced_grounding": False, "confidence_level": "medium"}}
    ordered = {name: canonical[name] for name in ("goal", "timeframe", "context", "options")}
    expected = hmac.digest(gateway.proxy.hash_key, orjson.dumps(ordered), hashlib.sha256).hex()
    assert first["request_data_hash"] == second["request_data_hash"] == expected
    assert other["request_data_hash"] != expected
    assert "marathon" not in str([first, second, other])


def test_the_sixth_prediction_of_a_free_day_is_refused_and_never_leaves(gateway: RunningGateway) -> None:
    remaining = [gateway.ask().get_json()["metadata"]["predictions_remaining_today"] for _ in range(5)]
    assert remaining == [4, 3, 2, 1, 0]
    refused = gateway.ask()
    assert refused.status_code == 429
    assert refused.content_type == "application/problem+json"
    problem = refused.get_json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["day"]
    assert problem["error"] == "rate_limit_exceeded"
    assert (problem["tier"], problem["daily_limit"], problem["current_usage"]) == ("free", 5, 5)
    assert problem["reset_at"].endswith("T00:00:00Z")
    assert int(refused.headers["Retry-After"]) >= 1
    assert '"day";r=0' in refused.headers["RateLimit"]
    assert gateway.private.seen.predictions == 5
    assert len(gateway.requests()) == 5


def test_an_answer_says_what_is_left_of_each_policy(gateway: RunningGateway) -> None:
    headers = gateway.ask().headers
    assert '"day";q=5;w=86400' in headers["RateLimit-Policy"]
    assert '"concurrency";q=1000;qu="concurrent-requests"' in headers["RateLimit-Policy"]
    assert '"day";r=4;t=' in headers["RateLimit"]
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]) == ("5", "4")
    assert headers["X-RateLimit-Policy"] == "day"
    assert int(headers["X-RateLimit-Reset"]) % 86400 in {0, 1, 86399}
    assert headers["Server-Timing"].startswith("upstream;dur=")
    assert float(headers["X-Gateway-Overhead-Ms"]) >= 0


def test_an_unlimited_plan_is_counted_and_says_minus_one(gateway: RunningGateway) -> None:
    answer = gateway.ask(tier=Tier.ENTERPRISE)
    assert answer.get_json()["metadata"]["predictions_remaining_today"] == -1
    assert '"day"' not in answer.headers["RateLimit"]
    assert gateway.used() == 1


def test_a_free_plan_may_not_ask_for_enhanced_grounding(gateway: RunningGateway) -> None:
    question = {**QUESTION, "options": {"enhanced_grounding": True}}
    refused = gateway.ask(question)
    assert refused.status_code == 403
    problem = refused.get_json()
    assert problem["error"] == "feature_not_in_tier"
    assert problem["detail"] == "The free plan does not include enhanced_grounding. These plans do: pro, enterprise"
    assert (problem["feature"], problem["included_in"]) == ("enhanced_grounding", ["pro", "enterprise"])
    assert (gateway.requests(), gateway.reserved(), gateway.private.seen.predictions) == ([], 0, 0)
    assert gateway.ask(question, tier=Tier.PRO).status_code == 200


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"goal": "too short"}, "/goal"),
        ({"goal": " " * 20}, "/goal"),
        ({"goal": "\u200b\u00a0\t\n" * 5}, "/goal"),
        ({"timeframe": "  "}, "/timeframe"),
        ({"goal": "x" * 5001}, "/goal"),
        ({"timeframe": "x" * 101}, "/timeframe"),
        ({"timeframe": None}, "/timeframe"),
        ({"context": "x" * 1001}, "/context"),
        ({"options": {"confidence_level": "certain"}}, "/options/confidence_level"),
        ({"options": {"enhanced_grounding": "true"}}, "/options/enhanced_grounding"),
        ({"options": {"url": "http://169.254.169.254/"}}, "/options/url"),
        ({"options": {"__proto__": {}}}, "/options/__proto__"),
        ({"callback": "http://mallory.example/"}, "/callback"),
    ],
)
def test_a_question_that_is_not_as_described_costs_nothing(
    gateway: RunningGateway, change: dict[str, object], pointer: str
) -> None:
    refused = gateway.ask({**QUESTION, **change})
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.get_json()["errors"]] == [pointer]
    assert (gateway.requests(), gateway.private.seen.predictions) == ([], 0)


def test_who_is_not_signed_in_gets_401(gateway: RunningGateway) -> None:
    assert gateway.app.test_client().post("/api/gateway/predict", json=QUESTION).status_code == 401


def test_two_users_have_a_day_each(gateway: RunningGateway) -> None:
    bob = uuid.uuid4()
    gateway.ask()
    assert gateway.ask(user=bob).get_json()["metadata"]["predictions_remaining_today"] == 4
    assert (gateway.used(), gateway.used(bob)) == (1, 1)
