"""A picture as a client sends it: base64 in JSON, bare or as a `data:` address (RFC 2397), or the bytes of a form's file."""

import re
from typing import Any, Final

import pybase64
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

DATA_ADDRESS: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)
ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
LONGEST_BEGIN: Final = 200
SCHEMA: Final = {
    "type": "string",
    "contentEncoding": "base64",
    "minLength": 4,
    "pattern": r"^(data:image/[A-Za-z0-9.+-]+;base64,)?([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
    "examples": ["data:image/png;base64,iVBORw0KGgo="],
}


class SentPicture:
    """Its bytes are handed over once and then forgotten: what the request said lives as long as its answer takes to make."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @classmethod
    def of_text(cls, text: object) -> "SentPicture":
        """Raises ValueError."""
        if not isinstance(text, str):
            raise ValueError("Send the picture as base64 text")  # noqa: TRY004 - pydantic takes no TypeError
        return cls(decoded(text))

    @property
    def data(self) -> bytes:
        return self._data

    def take(self) -> bytes:
        data, self._data = self._data, b""
        return data

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler, /) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.of_text)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler, /) -> JsonSchemaValue:
        return dict(SCHEMA)


def decoded(text: str) -> bytes:
    """Raises ValueError for all but the one spelling that RFC 4648, section 4, gives these bytes."""
    begin = text[:LONGEST_BEGIN]
    if ADDRESS.match(begin) is not None:
        raise ValueError("Send the picture itself: addresses are not fetched")
    address = DATA_ADDRESS.match(begin)
    if address is not None:
        media_type, parameters = address[1].lower(), address[2].lower()
        if not media_type.startswith("image/") or not parameters.endswith(";base64"):
            raise ValueError("A data: address must be one of a picture in base64, such as data:image/png;base64,")
        text = text[address.end() :]
    try:
        data = pybase64.b64decode(text, validate=True)
    except ValueError:  # also for what is not ASCII
        raise ValueError(
            "This is not base64. Use the standard alphabet, without line breaks and with padding"
        ) from None
    if not data:
        raise ValueError("The picture is empty")
    if text[-4:] != pybase64.b64encode(data[-((len(data) - 1) % 3 + 1) :]).decode():
        raise ValueError("This is not base64: its last characters stand for no whole byte")
    return data
