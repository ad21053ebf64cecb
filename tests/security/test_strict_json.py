import io
import json
import tracemalloc

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from security.api.strict_json import check_json
from security.edge.problems import MalformedJson
from tests.toy_api import BODY_LIMIT, told

WISH = b'{"goal": "run"}'


@pytest.fixture
def client(toy: Flask) -> FlaskClient:
    return toy.test_client()


def send(client: FlaskClient, body: bytes, **headers: str) -> TestResponse:
    return client.post("/toy/wishes", data=body, headers={"Content-Type": "application/json", **headers})


def goal(text: bytes) -> bytes:
    return b'{"goal": "' + text + b'"}'


def test_an_ordinary_body_is_read(client: FlaskClient) -> None:
    assert send(client, b' {"goal": "caf\xc3\xa9 \\u00e9 \\ud83d\\ude00", "count": 3} \n').json == {
        "goal": "café é 😀",
        "count": 3,
    }


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"   ", id="blank"),
        pytest.param(b'{"goal": "a", "goal": "b"}', id="duplicate key"),
        pytest.param(b'{"goal": "a", "options": {"level": "low", "level": "high"}}', id="duplicate key inside"),
        pytest.param(b'{"goal": "a", "\\u0067oal": "b"}', id="duplicate key by escape"),
        pytest.param(b'{"goal": "a", "count": NaN}', id="NaN"),
        pytest.param(b'{"goal": "a", "count": Infinity}', id="Infinity"),
        pytest.param(b'{"goal": "a", "count": -Infinity}', id="-Infinity"),
        pytest.param(b'{"goal": "a", "count": 1e400}', id="1e400"),
        pytest.param(b'{"goal": "a", "count": -1e400}', id="-1e400"),
        pytest.param(b'{"goal": "a", "count": 10000000000000000000}', id="10^19"),
        pytest.param(b'{"goal": "a", "count": 9007199254740993}', id="2^53 + 1"),
        pytest.param(b'{"goal": "a", "count": -9007199254740993}', id="-(2^53 + 1)"),
        pytest.param(b'{"goal": "a", "count": 01}', id="leading zero"),
        pytest.param(b'{"goal": "a", "count": +1}', id="plus"),
        pytest.param(b'{"goal": "a", "count": 0x10}', id="hexadecimal"),
        pytest.param(goal(b"\xff\xfe"), id="invalid UTF-8"),
        pytest.param(goal(b"\xc0\xaf"), id="overlong UTF-8"),
        pytest.param(goal(b"\xed\xa0\x80"), id="surrogate in UTF-8"),
        pytest.param(WISH.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(WISH.decode().encode("utf-16-le"), id="UTF-16 without BOM"),
        pytest.param(WISH.decode().encode("utf-32"), id="UTF-32"),
        pytest.param(b"\xef\xbb\xbf" + WISH, id="BOM"),
        pytest.param(WISH + b"{}", id="trailing document"),
        pytest.param(WISH + b",", id="trailing comma"),
        pytest.param(b'{"goal": "run",}', id="comma before the end"),
        pytest.param(b"{'goal': 'run'}", id="single quotes"),
        pytest.param(b'{"goal": "run" /* no */}', id="comment"),
        pytest.param(goal(b"a\nb"), id="raw control character"),
        pytest.param(goal(b"a\0b"), id="raw NUL"),
        pytest.param(goal(b"a\\u0000b"), id="escaped NUL"),
        pytest.param(b'{"goal": "run", "a\\u0000": 1}', id="NUL in a key"),
        pytest.param(goal(b"\\ud800"), id="lone high surrogate"),
        pytest.param(goal(b"\\udc00 \\ud800"), id="surrogates in the wrong order"),
        pytest.param(b'{"goal": "run", "\\udfff": 1}', id="lone surrogate in a key"),
        pytest.param(b'{"goal": ' + b"[" * 33 + b"]" * 33 + b"}", id="34 levels"),
        pytest.param(b"[" * 1900, id="1,900 open brackets"),
        pytest.param(b'{"a":' * 380, id="380 open objects"),
        pytest.param(b'"open', id="open string"),
        pytest.param(b'{"goal": "run"', id="open object"),
        pytest.param(b"nul", id="half a word"),
    ],
)
def test_what_is_not_strict_json_is_400(client: FlaskClient, body: bytes) -> None:
    answer = send(client, body)
    assert (answer.status_code, told(answer)["error"]) == (400, "malformed_json")


@pytest.mark.parametrize(
    "body", [b"null", b"1", b'"text"', b"[]", b"true", b"-0", b'{"goal": true}', b'{"goal": "a", "count": true}']
)
def test_json_of_another_shape_is_422(client: FlaskClient, body: bytes) -> None:
    answer = send(client, body)
    assert (answer.status_code, told(answer)["error"]) == (422, "validation_failed")


def test_a_whole_float_counts_as_an_integer(client: FlaskClient) -> None:
    assert told(send(client, b'{"goal": "run", "count": 3.0}'))["count"] == 3


@pytest.mark.parametrize("number", [b"3.5", b'"3"', b"11", b"-1", b"9007199254740992"])
def test_an_unfit_integer_is_422(client: FlaskClient, number: bytes) -> None:
    answer = send(client, b'{"goal": "run", "count": ' + number + b"}")
    assert answer.status_code == 422
    assert [error["pointer"] for error in told(answer)["errors"]] == ["/count"]


def test_brackets_inside_texts_are_not_depth(client: FlaskClient) -> None:
    assert send(client, goal(b'[{\\"' * 100)).status_code == 200


def test_32_levels_are_deep_enough_for_a_model_to_judge(client: FlaskClient) -> None:
    assert send(client, b'{"goal": ' + b"[" * 31 + b"]" * 31 + b"}").status_code == 422


def test_an_escaped_backslash_before_u0000_is_text(client: FlaskClient) -> None:
    assert told(send(client, goal(b"a\\\\u0000b")))["goal"] == "a\\u0000b"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; charset=utf8",
        "Application/JSON",
    ],
)
def test_json_by_its_own_name_is_accepted(client: FlaskClient, media_type: str) -> None:
    assert client.post("/toy/wishes", data=WISH, content_type=media_type).status_code == 200


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/x+json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json, application/json",
        "application/json; profile=x",
        "application/jsonp",
        ";",
        "",
    ],
)
def test_another_media_type_is_415(client: FlaskClient, media_type: str) -> None:
    answer = client.post("/toy/wishes", data=WISH, headers={"Content-Type": media_type} if media_type else {})
    assert (answer.status_code, told(answer)["error"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept-Post"] == "application/json"


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_that_says_it_is_not_encoded_is_read(client: FlaskClient, coding: str) -> None:
    assert send(client, WISH, **{"Content-Encoding": coding}).status_code == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "The request body is empty. Send a JSON object, at least {}"),
        (b" \n", "The request body is empty. Send a JSON object, at least {}"),
        (b"\xef\xbb\xbf" + WISH, "The body begins with a byte order mark. Send UTF-8 without it"),
        (WISH.decode().encode("utf-16"), "The body begins with a byte order mark. Send UTF-8 without it"),
        (b"goal=run", "The request body is not valid JSON: line 1, column 1: expecting value"),
        (
            b'{"goal": "run"\n"count": 1}',
            "The request body is not valid JSON: line 2, column 1: expecting ',' delimiter",
        ),
        (b'{"goal": NaN}', "The request body is not valid JSON: NaN is not JSON"),
    ],
)
def test_what_is_wrong_with_a_body_is_said(client: FlaskClient, body: bytes, detail: str) -> None:
    assert told(send(client, body))["detail"] == detail


@pytest.mark.parametrize(
    ("media_type", "detail"),
    [
        ("text/plain", "Send the body as JSON, with `Content-Type: application/json`"),
        (
            "application/json; charset=latin-1",
            "Send the body in UTF-8: no other charset of application/json is accepted",
        ),
        ("application/json; profile=x", "Send `Content-Type: application/json` without parameters"),
    ],
)
def test_what_is_wrong_with_a_media_type_is_said(client: FlaskClient, media_type: str, detail: str) -> None:
    assert told(client.post("/toy/wishes", data=WISH, content_type=media_type))["detail"] == detail


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity"])
def test_an_encoded_body_is_415(client: FlaskClient, coding: str) -> None:
    answer = send(client, WISH, **{"Content-Encoding": coding})
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")
    assert told(answer)["detail"] == "Send the body uncompressed, without Content-Encoding"


def test_a_body_over_its_limit_is_413(client: FlaskClient) -> None:
    assert send(client, goal(b"a" * BODY_LIMIT)).status_code == 413


def test_a_body_of_exactly_its_limit_is_read(client: FlaskClient) -> None:
    assert send(client, WISH.ljust(BODY_LIMIT)).status_code == 200
    assert send(client, WISH.ljust(BODY_LIMIT + 1)).status_code == 413


def test_a_chunked_body_over_its_limit_is_413(client: FlaskClient) -> None:
    # Werkzeug's own limit would hand over the first bytes without a word.
    answer = client.post(
        "/toy/wishes",
        input_stream=io.BytesIO(goal(b"a" * BODY_LIMIT)),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert answer.status_code == 413


def test_a_chunked_body_within_its_limit_is_read(client: FlaskClient) -> None:
    answer = client.post(
        "/toy/wishes",
        input_stream=io.BytesIO(WISH),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("length", ["-1", "+1", "1e2", "x", "0x10"])
def test_a_length_that_is_no_number_is_400(client: FlaskClient, length: str) -> None:
    answer = client.post(
        "/toy/wishes",
        input_stream=io.BytesIO(WISH),
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": length},
    )
    assert (answer.status_code, told(answer)["error"]) == (400, "malformed_request")


def test_a_length_of_many_digits_is_413(client: FlaskClient) -> None:
    answer = client.post(
        "/toy/wishes",
        input_stream=io.BytesIO(WISH),
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": "9" * 5000},
    )
    assert answer.status_code == 413


def test_a_body_that_ends_early_is_400(client: FlaskClient) -> None:
    answer = client.post(
        "/toy/wishes",
        input_stream=io.BytesIO(WISH),
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": str(len(WISH) + 1)},
    )
    assert (answer.status_code, told(answer)["error"]) == (400, "malformed_request")


class BrokenChunk(Exception):
    """Stands for the errors that a server raises while the body is read (gunicorn's InvalidChunkSize is no
    OSError).
    """


@pytest.mark.parametrize("error", [BrokenChunk, ConnectionResetError, TimeoutError])
def test_a_stream_that_breaks_is_400(client: FlaskClient, error: type[Exception]) -> None:
    class BreakingStream:
        def read(self, size: int) -> bytes:
            raise error

    answer = client.post(
        "/toy/wishes",
        content_type="application/json",
        environ_overrides={"wsgi.input": BreakingStream(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )
    assert (answer.status_code, told(answer)["error"]) == (400, "malformed_request")


def test_more_than_10000_values_are_refused_and_as_many_commas_in_a_text_are_not() -> None:
    check_json(json.dumps(["," * 20_000]).encode())
    check_json(json.dumps([0] * 9_999).encode())
    with pytest.raises(MalformedJson, match="values"):
        check_json(json.dumps([0] * 10_000).encode())
    with pytest.raises(MalformedJson, match="values"):
        check_json(json.dumps({str(key): [key] for key in range(5_001)}).encode())
    with pytest.raises(MalformedJson, match="values"):
        check_json(json.dumps([{}] * 10_000).encode())


@pytest.mark.parametrize("value", [b"{}", b"0", b'""', b"[[],0]"])
def test_too_many_values_are_refused_before_they_take_memory(value: bytes) -> None:
    document = b"[" + (value + b",") * (1_000_000 // len(value)) + value + b"]"
    tracemalloc.start()
    try:
        with pytest.raises(MalformedJson, match="values"):
            check_json(document)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(document)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b'"' + b'\\"' * 500_000, id="open string of quotes"),
        pytest.param(b'"a\\' * 500_000 + b"," * 10_000, id="string that never ends"),
        pytest.param(b"[" * 1_000_000, id="brackets"),
        pytest.param(b'{"a":' * 200_000, id="objects"),
        pytest.param(b"1" * 1_000_000, id="digits"),
        pytest.param(b"[" + b"9" * 4301 + b"]", id="4,301 digits"),
    ],
)
def test_a_hostile_megabyte_is_refused(document: bytes) -> None:
    # A reader that takes quadratic time runs into the suite's time limit here.
    with pytest.raises(MalformedJson):
        check_json(document)


def test_every_wrong_field_is_named_at_once(client: FlaskClient) -> None:
    answer = send(client, b'{"goal": "", "count": "x", "options": {"level": 1}, "a/b~c": 1}')
    assert answer.status_code == 422
    assert {error["pointer"] for error in told(answer)["errors"]} == {"/goal", "/count", "/options/level", "/a~1b~0c"}
    assert all(set(error) == {"pointer", "code", "message"} for error in told(answer)["errors"])


def test_a_body_full_of_wrong_fields_gets_a_bounded_answer(client: FlaskClient) -> None:
    answer = send(client, json.dumps({f"x{number}": 0 for number in range(180)}).encode())
    assert len(told(answer)["errors"]) == 100
