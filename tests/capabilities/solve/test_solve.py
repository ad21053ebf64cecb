"""POST /api/gateway/solve: what it answers, and what is written of it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth.tiers import Tier
from capabilities.solve.routes import SOLVE_PROBLEMS
from sandbox.ai_server.next_answers import NextAnswer
from sandbox.services import ROOT
from tests.capabilities.solve.conftest import SOLVE, RunningSolve, Start, base64
from tests.capabilities.solve.made_pictures import formula, photo
from tests.metric_values import rising


def test_a_picture_is_solved_and_charged(running: RunningSolve) -> None:
    alice = running.register()
    answer = alice.solve(prompt="What is this?")
    assert answer.status_code == 200, answer.text
    told = answer.get_json()
    (charge,), (row,), (entry,) = alice.charges(), alice.log(), running.ai.books.entries
    assert told["request_id"] == str(charge["request_id"]) == str(row["id"]) == entry.client_request_id
    assert (told["model"], told["provider"], told["mock"], told["steps"]) == ("gpt-6-luna", "openai", False, None)
    assert told["answer"]
    usage = {"input_tokens": entry.input_tokens, "output_tokens": entry.output_tokens, "estimated": False}
    assert told["usage"] == usage
    size = len(formula())
    sent = {"format": "png", "width": 160, "height": 40, "bytes": entry.pictures[0].size}
    assert told["image"] == {"format": "png", "width": 160, "height": 40, "bytes": size, "sent": sent}
    assert (told["cost_cents"], told["remaining"]) == (100, {"day": 9, "budget_cents": None})
    assert told["response_time_ms"] >= 0
    assert (charge["price_micros"], charge["cost_micros"]) == (1_000_000, row["cost_micros"])
    assert (row["success"], row["status"], row["provider"], row["model"]) == (True, 200, "openai", "gpt-6-luna")
    assert row["units"] == {
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "image_bytes": size,
        "image_width": 160,
        "image_height": 40,
    }
    details = {"method": "POST", "route": SOLVE, "image_format": "png", "mock": False, "estimated": False}
    assert row["details"] == details
    assert answer.headers["X-RateLimit-Limit"] in {"10", "5"}
    assert {"RateLimit", "RateLimit-Policy", "Server-Timing"} <= set(answer.headers.keys())


def test_a_form_says_the_same_as_json(running: RunningSolve) -> None:
    alice = running.register(Tier.PRO)
    by_form = alice.solve_form(formula(), key="one", prompt="Solve", format="steps")
    assert by_form.status_code == 200, by_form.text
    as_json = alice.solve(formula(), key="one", prompt="Solve", format="steps")
    assert as_json.headers["Idempotency-Replayed"] == "true"
    assert as_json.get_json() == by_form.get_json()


@pytest.mark.parametrize(
    "begin", ["data:image/png;base64,", "data:image/jpeg;base64,", "DATA:image/png;name=a.png;base64,"]
)
def test_a_data_address_is_taken(running: RunningSolve, begin: str) -> None:
    assert running.register().solve(begin + base64(formula())).status_code == 200


def test_where_a_picture_was_taken_never_reaches_the_provider(running: RunningSolve) -> None:
    alice = running.register(Tier.PRO)
    for turned in (1, 6):
        for size in ((120, 80), (2400, 1600)):
            assert alice.solve(photo(*size, turned=turned)).status_code == 200
    pictures = running.ai.books.pictures
    assert len(pictures) == 4
    for picture in pictures:
        assert (picture.has_metadata, picture.has_location, picture.orientation) == (False, False, 1)
        assert picture.width > picture.height
        red, green = int(picture.corners[0][1:3], 16), int(picture.corners[0][3:5], 16)
        assert (red > 180, green < 80) == (True, True)


def test_steps_are_split(running: RunningSolve) -> None:
    text = "Here it is.\n1. Add $2$ and $2$:\n   1. first\n2. **Check**\nit.\n**Answer:** $4$"
    running.ai.next.add(NextAnswer(text=text))
    told = running.register().solve(format="steps").get_json()
    assert (told["answer"], told["steps"]) == ("$4$", ["Add $2$ and $2$:\n   1. first", "**Check**\nit."])


def test_what_has_no_steps_is_an_answer_all_the_same(running: RunningSolve) -> None:
    running.ai.next.add(NextAnswer(text="It is $\\frac12$."))
    told = running.register().solve(format="steps").get_json()
    assert (told["answer"], told["steps"]) == ("It is $\\frac12$.", None)


def test_another_model_may_be_asked(running: RunningSolve) -> None:
    alice = running.register()
    told = alice.solve(model="gpt-6-sol").get_json()
    assert (told["model"], running.ai.books.entries[0].model) == ("gpt-6-sol", "gpt-6-sol")
    assert alice.log()[0]["model"] == "gpt-6-sol"


def test_the_mock_always_answers_the_same(start: Start) -> None:
    environment = {"FLASK_ENV": "development", "USE_MOCK_OPENAI": "true"}
    alice = start(**environment).register()
    first, again, other = (alice.solve(picture) for picture in (formula(), formula(), formula("3 + 3")))
    assert first.status_code == 200, first.text
    answers = [each.get_json() for each in (first, again, other)]
    assert [each["mock"] for each in answers] == [True] * 3
    assert answers[0]["answer"] == answers[1]["answer"] != answers[2]["answer"]
    assert alice.log()[0]["details"]["mock"] is True
    assert alice.running.ai.books.entries == []


def test_an_answer_is_replayed_for_nothing(running: RunningSolve) -> None:
    alice = running.register()
    first, again = alice.solve(key="one"), alice.solve(key="one")
    assert (again.status_code, again.get_json()) == (200, first.get_json())
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    other = alice.solve(formula("other"), key="one")
    assert (other.status_code, other.get_json()["error"]) == (422, "idempotency_key_reused")
    assert (len(running.ai.books.entries), len(alice.charges())) == (1, 1)


@pytest.mark.parametrize("scope", ["solve", "predict"])
def test_a_key_needs_the_scope(running: RunningSolve, scope: str) -> None:
    alice = running.register()
    made = alice.call("POST", "/api/auth/tokens", json={"name": "robot", "scopes": [scope]}).get_json()
    alice.token = made["token"]
    answer = alice.solve()
    assert answer.status_code == (200 if scope == "solve" else 403)
    if scope == "solve":
        assert str(alice.log()[0]["api_key_id"]) == made["id"]


def test_nobody_solves_without_signing_in(running: RunningSolve) -> None:
    alice = running.register()
    alice.token = "nothing"
    assert alice.solve().status_code == 401


def test_the_old_path_is_the_same_view(start: Start) -> None:
    running = start(COMPAT_ROUTES="on")
    alice = running.register()
    body = {"image": base64(formula()), "prompt": "Solve this math problem"}
    old = alice.call("POST", "/api/core/solve", key="one", json=body)
    assert (old.status_code, "Deprecation" in old.headers) == (200, True)
    twin = alice.call("POST", SOLVE, key="one", json={"image": base64(formula())})
    assert twin.headers["Idempotency-Replayed"] == "true"
    assert twin.get_json() == old.get_json()


@pytest.mark.slow
def test_it_may_be_the_only_product(start: Start) -> None:
    running = start(CAPABILITIES="solve", PRIVATE_API_URL="", PRIVATE_API_SECRET="")
    alice = running.register()
    alice.token = alice.call("POST", "/api/auth/tokens", json={"name": "robot"}).get_json()["token"]
    assert alice.solve().status_code == 200
    assert alice.call("POST", "/api/gateway/predict", json={"goal": "x"}).status_code == 404
    assert set(alice.call("GET", "/api/payments/plans").get_json()["plans"][0]["limits"]) == {"solve"}


def test_what_solving_is_watched_by(running: RunningSolve) -> None:
    alice = running.register()
    with rising(
        mirroros_solve_price_micros_total={"": 1_000_000},
        mirroros_solve_decode_seconds_count={'format="png"': 1},
        mirroros_solve_decode_wait_seconds_count={"": 1},
        mirroros_provider_duration_seconds_count={'provider="openai",model="gpt-6-luna",outcome="completed"': 1},
    ):
        assert alice.solve(key="one").status_code == 200
        assert alice.solve(key="one").status_code == 200


@pytest.mark.slow
def test_the_document_names_every_status(running: RunningSolve) -> None:
    document = running.app.test_client().get("/openapi.json", base_url="https://api.example.com").get_json()
    responses = document["paths"][SOLVE]["post"]["responses"]
    named = {"200", "400", "401", "402", "403", "409", "413", "415", "422", "429", "502", "503", "504"}
    assert set(responses) - {"500"} == named


def test_the_page_for_developers_names_every_error() -> None:
    page = (ROOT / "docs" / "solve.md").read_text(encoding="utf-8")
    assert [each.error for each in SOLVE_PROBLEMS if f"`{each.error}`" not in page] == []


def test_a_call_costs_what_it_cost_when_it_began(running: RunningSolve) -> None:
    alice = running.register()
    running.ai.next.add(NextAnswer(hold=True))
    try:
        with ThreadPoolExecutor(1) as other:
            begun = other.submit(alice.solve)
            assert running.ai.books.wait_for(1)
            assert running.flask("settings", "set", "solve_price_cents", "3").exit_code == 0
            running.ai.next.release()
            assert begun.result().get_json()["cost_cents"] == 100
    finally:
        assert running.flask("settings", "set", "solve_price_cents", "null").exit_code == 0
    assert [charge["price_micros"] for charge in alice.charges()] == [1_000_000]


def plans_of(running: RunningSolve) -> dict[str, Any]:
    answer = running.app.test_client().get("/api/payments/plans", base_url="https://api.example.com")
    assert answer.status_code == 200, answer.text
    return {plan["tier"]: plan["limits"]["solve"] for plan in answer.get_json()["plans"]}


def test_the_plans_say_what_a_solve_costs_now(start: Start) -> None:
    running = start(COST_PER_REQUEST_CENTS="7")
    plans = plans_of(running)
    assert plans["free"] == {
        "per_day": 10,
        "burst": 5,
        "burst_seconds": 60,
        "concurrency": 1,
        "largest_picture_bytes": 5 * 2**20,
        "price_cents": 7,
    }
    assert (plans["enterprise"]["per_day"], plans["team"]["largest_picture_bytes"]) == (None, 10 * 2**20)
    assert running.flask("settings", "set", "solve_price_cents", "3").exit_code == 0
    assert {plan["price_cents"] for plan in plans_of(running).values()} == {3}
    alice = running.register()
    assert alice.solve().get_json()["cost_cents"] == 3
    assert [charge["price_micros"] for charge in alice.charges()] == [30_000]


@pytest.mark.parametrize("value", ["-1", "1.5", '"3"', "true", "10000000"])
def test_a_price_that_is_none_is_refused(running: RunningSolve, value: str) -> None:
    refused = running.flask("settings", "set", "--", "solve_price_cents", value)
    assert (refused.exit_code, "whole number of cents" in refused.output) == (2, True)
    assert plans_of(running)["free"]["price_cents"] == 100


def test_a_free_solve_is_counted_and_not_charged(start: Start) -> None:
    running = start(COST_PER_REQUEST_CENTS="0")
    alice = running.register()
    told = alice.solve().get_json()
    assert (told["cost_cents"], told["remaining"]["day"], alice.charges()) == (0, 9, [])
    assert alice.log()[0]["success"] is True
