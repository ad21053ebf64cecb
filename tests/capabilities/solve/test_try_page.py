"""/portal/solve: a picture is solved for the signed-in customer, by a form without a script."""

from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, encode_multipart

from sandbox.ai_server.next_answers import NextAnswer
from tests.admin.dashboard import BASE, FROM_A_PAGE_OF_OURS, Dashboard, Staff, text_of
from tests.capabilities.solve.conftest import RunningSolve
from tests.capabilities.solve.made_pictures import formula

PATH = "/portal/solve"


@pytest.fixture
def customer(running: RunningSolve) -> Staff:
    return Dashboard(running.app).customer()


def send(customer: Staff, picture: bytes | None = None, *, csrf: bool = True, **fields: Any) -> TestResponse:
    token: dict[str, Any] = {"csrf_token": customer.sessions.pages.csrf_token(customer.session_id)} if csrf else {}
    image = FileStorage(BytesIO(formula() if picture is None else picture), "picture.png")
    data = {**token, "attempt": str(uuid4()), "prompt": "What is it?", "format": "text", "image": image, **fields}
    return post(customer, data, FROM_A_PAGE_OF_OURS)


def post(customer: Staff, data: dict[str, Any], headers: dict[str, str]) -> TestResponse:
    boundary = "b"  # Werkzeug's own is sometimes longer than the 70 characters of RFC 2046, 5.1.1
    _, body = encode_multipart(data, boundary=boundary)
    content_type = f"multipart/form-data; boundary={boundary}"
    return customer.client.post(PATH, data=body, headers=headers, base_url=BASE, content_type=content_type)


def calls(running: RunningSolve, user_id: UUID) -> list[tuple[bool, int]]:
    rows = running.rows("SELECT success, price_micros FROM request_logs WHERE user_id = %s ORDER BY id", str(user_id))
    return [(each["success"], each["price_micros"]) for each in rows]


def test_the_price_stands_before_and_the_cost_after(running: RunningSolve, customer: Staff) -> None:
    form = text_of(customer.get(PATH))
    assert "A solution costs 1.00 USD" in form and "Solve for 1.00 USD" in form
    solved = send(customer, format="steps")
    assert solved.status_code == 200, solved.text
    assert "Cost 1.00 USD Left today 9" in text_of(solved)
    assert calls(running, customer.user_id) == [(True, 1_000_000)]


def test_a_page_that_is_sent_again_is_one_call(running: RunningSolve, customer: Staff) -> None:
    attempt = str(uuid4())
    first, again = send(customer, attempt=attempt), send(customer, attempt=attempt)
    assert (first.status_code, again.status_code) == (200, 200)
    assert len(calls(running, customer.user_id)) == 1
    assert send(customer, attempt=attempt, prompt="And now?").status_code == 200
    assert len(calls(running, customer.user_id)) == 2


def test_what_the_model_wrote_is_shown_as_text(running: RunningSolve, customer: Staff) -> None:
    running.ai.next.add(NextAnswer(text="<script>alert(1)</script> $x < 2$"))
    page = send(customer)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; $x &lt; 2$" in page.text
    assert "<script>alert" not in page.text


@pytest.mark.parametrize(
    ("picture", "fields", "status"),
    [
        (b"", {}, 422),
        (b"no picture", {}, 415),
        (b"\x89PNG\r\n\x1a\n" + bytes(6 * 2**20), {}, 413),
        (b"x" * (10 * 2**20 + 1), {}, 413),
        (None, {"prompt": "x" * 4001}, 422),
    ],
)
def test_what_is_wrong_stands_above_the_form(
    running: RunningSolve, customer: Staff, picture: bytes | None, fields: dict[str, Any], status: int
) -> None:
    page = send(customer, picture, **fields)
    assert page.status_code == status, page.text
    assert 'role="alert"' in page.text and "Solve for 1.00 USD" in page.text
    assert [price for _, price in calls(running, customer.user_id)] in ([], [0])


def test_a_budget_that_is_used_up_says_so(running: RunningSolve, customer: Staff) -> None:
    assert customer.post("/portal/budget", {"amount": "1"}).status_code == 303
    assert send(customer).status_code == 200
    page = send(customer)
    assert (page.status_code, "Solve for 1.00 USD" in page.text) == (402, True)
    assert "What is it?" in page.text


def test_when_the_provider_fails_the_form_stays_and_nothing_is_charged(running: RunningSolve, customer: Staff) -> None:
    running.ai.next.add(NextAnswer(status=500))
    page = send(customer)
    assert (page.status_code, "Solve for 1.00 USD" in page.text) == (502, True)
    assert calls(running, customer.user_id) == [(False, 0)]


def test_without_its_token_nothing_is_solved(running: RunningSolve, customer: Staff) -> None:
    assert send(customer, csrf=False).status_code == 403
    assert send(customer, csrf=False, csrf_token="x").status_code == 403
    elsewhere = {**FROM_A_PAGE_OF_OURS, "Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"}
    token: dict[str, Any] = {
        "csrf_token": customer.sessions.pages.csrf_token(customer.session_id),
        "image": FileStorage(BytesIO(b"x"), "x"),
    }
    assert post(customer, token, elsewhere).status_code == 403
    assert calls(running, customer.user_id) == []
