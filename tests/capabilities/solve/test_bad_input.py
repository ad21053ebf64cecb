"""What POST /api/gateway/solve refuses. None of it reaches the provider or is charged."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from auth.tiers import Tier
from tests.capabilities.solve.conftest import SOLVE, Customer, RunningSolve, base64
from tests.capabilities.solve.made_pictures import (
    PDF,
    SVG,
    ZIP,
    avif,
    formula,
    gif_of_frames,
    heic,
    noise,
    photo,
    png_of,
    saved,
    webp_of,
)

WITHIN_SECONDS = 8


@pytest.fixture(scope="module")
def alice_of_module(running_of_module: RunningSolve) -> Customer:
    return running_of_module.register(Tier.PRO)


@pytest.fixture
def alice(running: RunningSolve, alice_of_module: Customer) -> Iterator[Customer]:
    """Nothing that a test of this file sends costs anything."""
    yield alice_of_module
    assert (running.ai.books.entries, alice_of_module.charges(), alice_of_module.used()) == ([], [], {})
    assert (alice_of_module.held(), [row for row in alice_of_module.log() if row["success"]]) == (0, [])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("", "empty"),
        ("data:image/png;base64,", "empty"),
        ("hello world", "not base64"),
        (base64(formula())[:-3] + "\n" + base64(formula())[-3:], "not base64"),
        (base64(formula()) + "\n", "not base64"),
        (base64(formula()).rstrip("=") if base64(formula()).endswith("=") else base64(formula())[:-1], "not base64"),
        (base64(bytes(3) + b"\xfb") .replace("+", "-"), "not base64"),
        ("iVB=", "no whole byte"),
        ("é" * 4, "not base64"),
        ("data:text/html;base64," + base64(formula()), "data: address"),
        ("data:image/png," + base64(formula()), "data: address"),
        ("http://example.com/picture.png", "not fetched"),
        ("https://example.com/picture.png", "not fetched"),
        ("file:///etc/passwd", "not fetched"),
    ],
)  # fmt: skip
def test_what_is_no_base64_of_a_picture(alice: Customer, image: str, words: str) -> None:
    refused = alice.solve(image)
    assert (refused.status_code, refused.get_json()["error"]) == (422, "validation_failed")
    (error,) = refused.get_json()["errors"]
    assert error["pointer"] == "/image"
    assert words in error["message"]


@pytest.mark.parametrize("image", [None, 1, [], {}])
def test_what_is_no_text(alice: Customer, image: Any) -> None:
    refused = alice.call("POST", SOLVE, json={"image": image} if image is not None else {})
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/image")


@pytest.mark.parametrize(
    ("picture", "status", "error"),
    [
        (png_of(60_000, 60_000), 422, "picture_has_too_many_pixels"),
        (webp_of(5000, 5000), 422, "picture_has_too_many_pixels"),
        (photo()[:-200], 422, "picture_unreadable"),
        (ZIP, 415, "picture_format_not_supported"),
        (SVG, 415, "picture_format_not_supported"),
        (PDF, 415, "picture_format_not_supported"),
        (heic(), 415, "picture_format_not_supported"),
        (avif(), 415, "picture_format_not_supported"),
    ],
    ids=["png bomb", "webp bomb", "truncated jpeg", "zip", "svg", "pdf", "heic", "avif"],
)  # fmt: skip
def test_bad_pictures_are_answered_soon_and_free(alice: Customer, picture: bytes, status: int, error: str) -> None:
    begun = time.monotonic()
    answer = alice.solve_form(picture)
    assert time.monotonic() - begun < WITHIN_SECONDS
    assert (answer.status_code, answer.get_json()["error"]) == (status, error)
    assert answer.get_json()["errors"][0]["pointer"] == "/image"
    row = alice.log()[-1]
    assert (row["success"], row["status"], row["error_code"], row["outcome"]) == (False, status, error, "failed")
    assert row["units"]["image_bytes"] == len(picture)


def test_a_gif_of_ten_thousand_frames_is_solved(running: RunningSolve) -> None:
    assert running.register().solve(gif_of_frames(10_000)).status_code == 200


def test_heic_is_answered_with_advice(alice: Customer) -> None:
    told = alice.solve(heic()).get_json()
    assert "Settings, Camera, Formats, Most Compatible" in told["detail"]


def test_a_picture_of_eleven_megabytes(alice: Customer) -> None:
    data = saved(noise(64, 64), "PNG") + bytes(11 * 2**20)
    refused = alice.solve(data)
    assert (refused.status_code, refused.get_json()["error"]) == (413, "picture_too_large")
    assert alice.solve_form(data).status_code == 413


def test_a_free_plan_takes_smaller_pictures(running: RunningSolve) -> None:
    six = formula() + bytes(6 * 2**20)
    alice = running.register()
    refused = alice.solve(six)
    assert (refused.status_code, "at most 5 MiB" in refused.get_json()["detail"]) == (413, True)
    bob = running.register(Tier.PLUS)
    assert bob.solve(six).status_code == 200


def test_a_body_of_twenty_megabytes(alice: Customer) -> None:
    assert alice.solve(bytes(16 * 2**20)).status_code == 413
    refused = alice.call(
        "POST", SOLVE, data=b"{}", content_type="application/json", environ_overrides={"CONTENT_LENGTH": "20000001"}
    )
    assert refused.status_code == 413


@pytest.mark.parametrize(
    ("fields", "status", "pointer"),
    [
        ({"prompt": "x" * 4001}, 422, "/prompt"),
        ({"prompt": ""}, 422, "/prompt"),
        ({"prompt": "   "}, 422, "/prompt"),
        ({"prompt": None}, 422, "/prompt"),
        ({"format": "html"}, 422, "/format"),
        ({"model": "gpt-7-nova"}, 422, "/model"),
        ({"model": "o3-mini"}, 422, "/model"),
        ({"model": "gpt-4-vision-preview"}, 422, "/model"),
        ({"model": ""}, 422, "/model"),
        ({"colour": "red"}, 422, "/colour"),
    ],
)  # fmt: skip
def test_fields(alice: Customer, fields: dict[str, Any], status: int, pointer: str) -> None:
    refused = alice.solve(**fields)
    assert refused.status_code == status, refused.text
    assert [each["pointer"] for each in refused.get_json()["errors"]] == [pointer]
    if None not in fields.values():
        assert alice.solve_form(formula(), **fields).status_code == status


@pytest.mark.parametrize("text", [r"a\u0000b", r"\ud800"])
def test_texts_that_no_database_takes(alice: Customer, text: str) -> None:
    body = f'{{"image": "{base64(formula())}", "prompt": "{text}"}}'
    assert alice.call("POST", SOLVE, data=body, content_type="application/json").status_code in {400, 422}


@pytest.mark.parametrize("text", ["a\x00b", "a\udc80b"])
def test_texts_of_a_form_that_no_database_takes(alice: Customer, text: str) -> None:
    refused = alice.solve_form(formula(), prompt=text)
    assert refused.status_code in {400, 422}, refused.text


@pytest.mark.parametrize("picture", [None, b""])
def test_a_form_without_a_picture(alice: Customer, picture: bytes | None) -> None:
    refused = alice.solve_form(picture, prompt="Solve")
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, "/image")


def test_other_media_types(alice: Customer) -> None:
    refused = alice.call("POST", SOLVE, data=formula(), content_type="image/png")
    assert (refused.status_code, refused.headers["Accept-Post"]) == (415, "application/json, multipart/form-data")
