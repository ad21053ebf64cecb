"""A picture as OpenAI's format has it: a `data:` address (RFC 2397) in base64. It is passed on as it came."""

import binascii
import re
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

from providers.completion import Picture

DATA_ADDRESS: Final = re.compile(r"data:image/(?:png|jpeg|jpg|webp|gif);base64,", re.IGNORECASE)
BEGINS: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "image/png"),
    (re.compile(rb"\xff\xd8\xff"), "image/jpeg"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"GIF8[79]a"), "image/gif"),
)
"""What a picture is, is told by its bytes: what its address says proves nothing."""


def _picture(sent: object) -> Picture:
    """Raises ValueError."""
    address = DATA_ADDRESS.match(sent) if isinstance(sent, str) else None
    if not isinstance(sent, str) or address is None:
        raise ValueError("Send the picture itself, as data:image/png;base64,… (also jpeg, webp and gif)")
    try:
        data = binascii.a2b_base64(sent[address.end() :], strict_mode=True)
    except ValueError:  # also for what is not ASCII
        raise ValueError("This is not base64 in the standard alphabet, without line breaks and with padding") from None
    media_type = next((media_type for begin, media_type in BEGINS if begin.match(data)), None)
    if media_type is None:
        raise ValueError("This is no PNG, JPEG, WebP or GIF")
    return Picture(media_type, data)


PictureAddress = Annotated[
    Any,
    PlainValidator(_picture),
    WithJsonSchema({"type": "string", "pattern": "^data:image/(png|jpeg|jpg|webp|gif);base64,"}),
]
