"""Pictures are decoded really: what is taken, what is refused, and what the books say of them."""

import base64
import io
from typing import Any

import pytest
from PIL import Image

from sandbox.ai_server.server import AIServer
from tests.sandbox.ai_provider import MODELS, anthropic_sdk, asked, asked_of_anthropic, data_uri, openai_sdk, picture

PNG = picture()


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp"), ("GIF", "gif")])
def test_the_books_say_what_came(providers: AIServer, kind: str, media_type: str) -> None:
    content = picture(kind)
    openai_sdk(providers).chat.completions.create(
        model="gpt-6-luna", messages=asked(data_uri(content, f"image/{media_type}"))
    )
    (seen,) = providers.books.pictures
    assert (seen.format, seen.width, seen.height, seen.size) == (kind, 64, 48, len(content))
    assert seen.first_bytes == content[:16].hex()
    assert not seen.has_metadata and not seen.has_location and seen.orientation == 1


def test_the_books_tell_of_location_and_orientation(providers: AIServer) -> None:
    shown = Image.new("RGB", (64, 48), "red")
    shown.paste("blue", (0, 24, 64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[1] = "N"
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 0.0)}
    content = io.BytesIO()
    shown.save(content, "JPEG", exif=exif)
    openai_sdk(providers).chat.completions.create(
        model="gpt-6-luna", messages=asked(data_uri(content.getvalue(), "image/jpeg"))
    )
    (seen,) = providers.books.pictures
    assert (seen.has_metadata, seen.has_location, seen.orientation) == (True, True, 6)
    assert seen.corners[0].startswith("#0000f") or seen.corners[0] == "#0000ff", "turned as a viewer turns it"


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.com/picture.png", "invalid_image_url"),
        (f"data:image/png;base64,{base64.b64encode(PNG).decode()}!!", "invalid_base64"),
        (data_uri(PNG, "image/heic"), "invalid_image_format"),
        (data_uri(PNG, "image/jpeg"), "invalid_image_format"),
        (data_uri(PNG[:60]), "image_parse_error"),
        (data_uri(b"PK\x03\x04 not a picture"), "image_parse_error"),
        (data_uri(bytes(20_000_001)), "image_too_large"),
    ],
    ids=["address", "line noise", "heic", "other format", "cut", "zip", "too large"],
)
def test_what_is_no_picture_is_refused(providers: AIServer, url: str, code: str) -> None:
    from openai import BadRequestError

    with pytest.raises(BadRequestError) as refused:
        openai_sdk(providers).chat.completions.create(model="gpt-6-luna", messages=asked(url))
    assert refused.value.code == code
    assert providers.books.billed == []


def test_a_moving_picture_is_refused(providers: AIServer) -> None:
    from openai import BadRequestError

    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:])
    with pytest.raises(BadRequestError, match="unsupported image"):
        openai_sdk(providers).chat.completions.create(
            model="gpt-6-luna", messages=asked(data_uri(content.getvalue(), "image/gif"))
        )


def test_a_model_without_eyes_refuses_pictures(providers: AIServer) -> None:
    from openai import BadRequestError

    with pytest.raises(BadRequestError, match="must be a string"):
        openai_sdk(providers, "groq").chat.completions.create(
            model="llama-3.1-8b-instant", messages=asked(data_uri(PNG))
        )
    with pytest.raises(BadRequestError, match="image_url is only supported by certain models"):
        openai_sdk(providers).chat.completions.create(model="gpt-audio-mini", messages=asked(data_uri(PNG)))


@pytest.mark.parametrize(
    ("content", "media_type", "message"),
    [
        (picture(size=(8001, 1)), "image/png", "8000 pixels"),
        (bytes(5 * 1024 * 1024 + 1), "image/png", "image exceeds 5 MB maximum"),
        (PNG, "image/jpeg", "specified using the image/jpeg media type"),
        (b"GIF89a", "image/gif", "Could not process image"),
    ],
    ids=["too long", "too large", "other format", "cut"],
)
def test_anthropic_refuses_by_its_own_limits(
    providers: AIServer, content: bytes, media_type: str, message: str
) -> None:
    from anthropic import BadRequestError

    with pytest.raises(BadRequestError, match=message):
        anthropic_sdk(providers).messages.create(
            model=MODELS["anthropic"], max_tokens=9, messages=asked_of_anthropic(content, media_type)
        )


def test_anthropic_fetches_no_address(providers: AIServer) -> None:
    from anthropic import BadRequestError

    source: Any = {"type": "url", "url": "https://example.com/a.png"}
    with pytest.raises(BadRequestError, match="Unable to download"):
        anthropic_sdk(providers).messages.create(
            model=MODELS["anthropic"],
            max_tokens=9,
            messages=[{"role": "user", "content": [{"type": "image", "source": source}]}],
        )
