"""Forms with files and raw bodies, over the edge. JSON bodies have test_strict_json.py."""

import tracemalloc
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage
from werkzeug.test import TestResponse, stream_encode_multipart

from tests.toy_api import BODY_LIMIT, told, toy_app

PNG = b"\x89PNG\r\n\x1a\n" + b"-" * 1000
UPLOAD = "/toy/uploads/0193a5b0-7c1e-7000-8000-0242ac120002"
TUS = "application/offset+octet-stream"


def file(content: bytes = PNG, media_type: str = "image/png", name: str = "a.png") -> FileStorage:
    return FileStorage(BytesIO(content), name, content_type=media_type)


def send(toy: Flask, **parts: Any) -> TestResponse:
    """The client would leave the body of a large form open."""
    body, length, boundary = stream_encode_multipart(parts, boundary="b")  # its own has 71 characters at times
    with body:
        return raw_form(toy, body.read(length), f"multipart/form-data; boundary={boundary}")


def raw_form(toy: Flask, body: bytes, content_type: str = "multipart/form-data; boundary=b") -> TestResponse:
    stream = BytesIO(body)
    return toy.test_client().post(
        "/toy/pictures", input_stream=stream, content_length=len(body), content_type=content_type
    )


def pointers(answer: TestResponse) -> dict[str, str]:
    return {error["pointer"]: error["code"] for error in told(answer)["errors"]}


def test_a_form_gives_its_texts_by_their_model_and_its_files(toy: Flask) -> None:
    answer = send(toy, title="Sea", size="3", labels=["a", "b"], picture=file(), notes=[file(b"one", "text/plain")])
    assert (answer.status_code, told(answer)) == (
        200,
        {"title": "Sea", "sha256": sha256(PNG).hexdigest(), "notes": ["one"]},
    )


def test_a_form_and_json_can_stand_side_by_side(toy: Flask) -> None:
    assert told(toy.test_client().post("/toy/pictures", json={"goal": "Sea"}))["title"] == "Sea"


def test_of_another_media_type_it_is_415_and_says_what_is_accepted(toy: Flask) -> None:
    answer = toy.test_client().post("/toy/pictures", data=b"x", content_type="image/png")
    assert (answer.status_code, told(answer)["error"]) == (415, "unsupported_media_type")
    assert answer.headers["Accept-Post"] == "application/json, multipart/form-data"


def test_every_wrong_part_is_named_at_once(toy: Flask) -> None:
    answer = send(toy, title="", size="many", colour="red", extra=file(), notes=[file(b"n", "text/plain")] * 1)
    assert answer.status_code == 422
    assert pointers(answer) == {
        "/extra": "unknown_file",
        "/picture": "missing",
        "/title": "string_too_short",
        "/size": "int_type",
        "/colour": "extra_forbidden",
    }


def test_more_files_than_declared_are_422(toy: Flask) -> None:
    notes = [file(b"n", "text/plain") for _ in range(3)]
    assert pointers(send(toy, title="Sea", picture=file(), notes=notes)) == {"/notes": "too_many_files"}
    two = [file(b"n", "text/plain") for _ in range(2)]
    assert send(toy, title="Sea", picture=file(), notes=two).status_code == 200


def test_a_text_in_the_place_of_a_file_is_422(toy: Flask) -> None:
    assert pointers(send(toy, title="Sea", picture="no file")) == {"/picture": "extra_forbidden"}


def test_a_file_of_a_media_type_that_is_not_declared_is_415(toy: Flask) -> None:
    answer = send(toy, title="Sea", picture=file(media_type="image/svg+xml"))
    assert (answer.status_code, "image/png or image/jpeg" in told(answer)["detail"]) == (415, True)


@pytest.mark.parametrize(("size", "status"), [(1_000_000, 200), (1_000_001, 413)])
def test_a_file_has_a_largest_size(toy: Flask, size: int, status: int) -> None:
    answer = send(toy, title="Sea", picture=file(b"x" * size))
    assert answer.status_code == status
    if status == 413:
        assert "picture can have at most 1,000,000 bytes" in told(answer)["detail"]


def test_the_whole_form_has_a_largest_size(toy: Flask) -> None:
    answer = send(toy, title="Sea", picture=file(b"x" * 1_300_000))
    assert (answer.status_code, told(answer)["detail"]) == (413, "The request body can have at most 1200000 bytes")


def test_it_has_a_largest_number_of_parts(toy: Flask) -> None:
    answer = send(toy, title="Sea", labels=list("abcdefgh"), picture=file())
    assert (answer.status_code, "6 parts" in told(answer)["detail"]) == (413, True)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no part at all", id="no boundary"),
        pytest.param(b"--b\r\n", id="ends in a head"),
        pytest.param(b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nSea', id="ends in a text"),
        pytest.param(b"--b\r\nContent-Type: text/plain\r\n\r\nSea\r\n--b--\r\n", id="no disposition"),
        pytest.param(b"--b\r\nContent-Disposition: form-data\r\n\r\nSea\r\n--b--\r\n", id="no name"),
        pytest.param(b'--b\r\nContent-Disposition: form-data; name=""\r\n\r\nSea\r\n--b--\r\n', id="empty name"),
        pytest.param(b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\n\xff\r\n--b--\r\n', id="no UTF-8"),
        pytest.param(b"--b\r\n\xff\xfe: x\r\n\r\nSea\r\n--b--\r\n", id="no UTF-8 in a head"),
    ],
)
def test_a_form_that_is_not_well_formed_is_400(toy: Flask, body: bytes) -> None:
    answer = raw_form(toy, body)
    assert (answer.status_code, told(answer)["error"]) == (400, "malformed_request")


@pytest.mark.parametrize("boundary", ["", "; boundary=", f"; boundary={'b' * 71}", '; boundary="b "', "; boundary=ä"])
def test_a_boundary_that_is_none_is_400(toy: Flask, boundary: str) -> None:
    assert raw_form(toy, b"--b--\r\n", f"multipart/form-data{boundary}").status_code == 400


def test_a_text_with_nul_is_422(toy: Flask) -> None:
    assert send(toy, title="a\0b", picture=file()).status_code == 422


def test_a_head_without_end_is_400(toy: Flask) -> None:
    assert raw_form(toy, b"--b\r\nX: " + b"x" * 200_000).status_code == 400


def test_a_compressed_form_is_415(toy: Flask) -> None:
    form = {"title": "Sea", "picture": file()}
    answer = toy.test_client().post("/toy/pictures", data=form, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")


def send_photo(toy: Flask, *parts: bytes) -> TestResponse:
    """Each part is what stands after `form-data; `, its content and all."""
    body = b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--b--\r\n"
    return toy.test_client().post(
        "/toy/photos",
        data=body,
        content_type="multipart/form-data; boundary=b",
        headers={"Authorization": "Bearer good"},
    )


IMAGE_PART = b'name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + PNG


@pytest.mark.parametrize(
    "part",
    [
        IMAGE_PART,
        IMAGE_PART.replace(b"image/png", b"text/html"),
        b'name="image"; filename=""\r\n\r\n' + PNG,
        b'name="image"\r\n\r\n' + PNG,
        b'name="image"\r\nContent-Type: image/png\r\n\r\n' + PNG,
    ],
    ids=["usual", "of another name", "empty file name", "no file name", "no file name but a type"],
)
def test_a_file_without_declared_media_types_is_its_bytes(toy: Flask, part: bytes) -> None:
    answer = send_photo(toy, part, b'name="prompt"\r\n\r\nSolve')
    assert (answer.status_code, told(answer)) == (200, {"size": len(PNG), "sha256": sha256(PNG).hexdigest()})


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        ([b'name="prompt"\r\n\r\nSolve'], {"/image": "missing"}),
        ([IMAGE_PART, IMAGE_PART], {"/image": "too_many_files"}),
        ([IMAGE_PART, b'name="prompt"\r\n\r\na', b'name="prompt"\r\n\r\nb'], {"/prompt": "repeated"}),
        ([IMAGE_PART, b'name="model"\r\n\r\na'], {"/model": "extra_forbidden"}),
        ([IMAGE_PART, b'name="prompt"; filename="a"\r\n\r\na'], {"/prompt": "unknown_file"}),
        ([IMAGE_PART, b'name="prompt"\r\n\r\na\0b'], {"/prompt": "nul"}),
    ],
)
def test_its_form_is_as_strict_as_json(toy: Flask, parts: list[bytes], wrong: dict[str, str]) -> None:
    answer = send_photo(toy, *parts)
    assert (answer.status_code, pointers(answer)) == (422, wrong)


def test_a_large_form_is_in_memory_twice_at_most(toy: Flask) -> None:
    """Line ends everywhere, because they are where a boundary could begin."""
    image = b"\r\n-\r\n--\n\r" * 500_000
    tracemalloc.start()
    try:
        answer = send_photo(toy, b'name="image"\r\n\r\n' + image)
        made_by_test = 2 * len(image)
        assert tracemalloc.get_traced_memory()[1] < made_by_test + 2.5 * len(image)
    finally:
        tracemalloc.stop()
    assert told(answer)["sha256"] == sha256(image).hexdigest()


PIECES = [
    b"--b",
    b"--b--",
    b"\r\n",
    b"\n",
    b"\r",
    b'Content-Disposition: form-data; name="picture"; filename="a.png"',
    b'Content-Disposition: form-data; name="title"',
    b"Content-Type: image/png",
    b"Content-Disposition: form-data; name*=utf-8''%ff",
    b": ",
    b"\0",
    b"\xff",
    b"x" * 70_000,
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join))
def test_no_form_whatever_is_a_server_error(body: bytes) -> None:
    assert raw_form(TOY, body).status_code in {200, 400, 413, 415, 422}


TOY = toy_app()


def test_a_raw_body_is_given_as_it_came(toy: Flask) -> None:
    body = b'{"a": 1, "a": 2}'
    answer = toy.test_client().post("/toy/hooks", data=body, content_type="application/json; charset=utf-8")
    assert told(answer) == {"size": len(body), "sha256": sha256(body).hexdigest()}


@pytest.mark.parametrize(
    ("size", "content_type", "status"),
    [
        (BODY_LIMIT, "application/json", 200),
        (BODY_LIMIT + 1, "application/json", 413),
        (1, "text/plain", 415),
        (1, "", 415),
    ],
)
def test_a_raw_body_has_its_size_and_media_type(toy: Flask, size: int, content_type: str, status: int) -> None:
    assert toy.test_client().post("/toy/hooks", data=b"x" * size, content_type=content_type).status_code == status


@pytest.mark.parametrize("size", [0, 1, 1_500_000])
def test_a_raw_body_may_be_large(toy: Flask, size: int) -> None:
    body = b"x" * size
    answer = toy.test_client().patch(UPLOAD, data=body, content_type=TUS)
    assert told(answer) == {"size": size, "sha256": sha256(body).hexdigest()}


def test_one_that_is_announced_too_large_is_refused_unread(toy: Flask) -> None:
    answer = toy.test_client().patch(UPLOAD, data=b"x" * 1_500_001, content_type=TUS)
    assert (answer.status_code, told(answer)["error"]) == (413, "body_too_large")


def test_the_document_says_what_each_body_is(toy: Flask) -> None:
    paths = told(toy.test_client().get("/openapi.json"))["paths"]
    upload = paths["/toy/uploads/{upload_id}"]["patch"]
    assert upload["requestBody"]["content"] == {TUS: {"schema": {"type": "string", "format": "binary"}}}
    assert {"413", "415"} <= set(upload["responses"])
    assert "422" not in upload["responses"]
    content = paths["/toy/pictures"]["post"]["requestBody"]["content"]
    assert content["application/json"] == {"schema": {"$ref": "#/components/schemas/Wish"}}
    form = content["multipart/form-data"]
    assert form["encoding"]["picture"] == {"contentType": "image/png, image/jpeg"}
    assert form["schema"]["required"] == ["picture", "title"]
    assert form["schema"]["properties"]["picture"]["format"] == "binary"
    assert form["schema"]["properties"]["notes"]["maxItems"] == 2
    assert form["schema"]["properties"]["level"]["enum"] == ["low", "high"]
    assert not form["schema"]["additionalProperties"]
    photo = paths["/toy/photos"]["post"]
    assert photo["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]["image"] == {
        "type": "string",
        "format": "binary",
        "description": "A file, at most 15,000,000 bytes.",
    }
    assert "too_busy" in str(photo["responses"]["503"])
