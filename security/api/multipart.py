"""Forms with files: `multipart/form-data` (RFC 7578), of which nothing is kept that was not declared."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from flask import request
from pydantic import BaseModel
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from security.api.request_bodies import RequestBody, Schemas, not_accepted, parse, query_reader
from security.api.strict_json import read_whole_body, require_uncompressed
from security.edge.problems import (
    BodyTooLarge,
    MalformedRequest,
    UnsupportedMediaType,
    ValidationFailed,
    field_error,
)

DECODED_AT_ONCE = 64 * 1024
"""More would be in memory twice."""
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046, 5.1.1."""


@dataclass(frozen=True)
class FilePart:
    """A file of a form. `limit` is bytes, `most` how many files the form may have under this name.

    Without `media_types` its bytes alone say what it is: whatever the client calls it is taken, also a part without a file name.
    """

    media_types: tuple[str, ...]
    limit: int
    required: bool = True
    most: int = 1


@dataclass(frozen=True)
class Form:
    """What the handler gets: an instance of the declared model, and the files by their names.

    A file's `filename` and `mimetype` are what the client says, and prove nothing.
    """

    fields: Any
    files: Mapping[str, list[FileStorage]]


@dataclass(frozen=True)
class Multipart(RequestBody):
    """`limit` is bytes of the whole form, `most_parts` how many texts and files it may have.

    Its texts are read as those of a query are. It is in memory, like every body: see `operation`.
    """

    files: Mapping[str, FilePart]
    model: type[BaseModel]
    limit: int
    most_parts: int = 50
    media_type = "multipart/form-data"
    inline = True
    problems = (BodyTooLarge, UnsupportedMediaType, ValidationFailed)

    def read(self) -> Form:
        texts: MultiDict[str, str] = MultiDict()
        files: dict[str, list[FileStorage]] = {name: [] for name in self.files}
        errors: list[dict[str, str]] = []
        try:
            for part, content in self._parts():
                declared_file = self.files.get(part.name)
                if isinstance(part, Field) and (declared_file is None or declared_file.media_types):
                    texts.add(part.name, content.getvalue().decode())
                elif declared_file is not None:
                    files[part.name].append(_file(part, content, declared_file))
                else:
                    message = "This operation does not accept a file with this name"
                    errors.append(field_error([part.name], "unknown_file", message))
        except RequestEntityTooLarge:
            raise BodyTooLarge(f"The form can have at most {self.most_parts} parts") from None
        except ValueError:
            raise MalformedRequest("The request body is not valid multipart/form-data") from None
        self.look_at(texts)
        for name, declared in self.files.items():
            if declared.required and not files[name]:
                errors.append(field_error([name], "missing", "File required"))
            if len(files[name]) > declared.most:
                errors.append(field_error([name], "too_many_files", f"Send at most {declared.most} files"))
        try:
            fields = parse(self.model, query_reader(self.model).document(texts))
        except ValidationFailed as refused:
            errors += refused.members["errors"]
        if errors:
            raise ValidationFailed(errors)
        return Form(fields, files)

    def look_at(self, texts: MultiDict[str, str]) -> None:
        """For kinds of forms whose texts say more than the model. Before anything is checked or handed over."""

    def _parts(self) -> Iterator[tuple[Field | File, BytesIO]]:
        """Raises RequestEntityTooLarge, and ValueError for what is not well formed."""
        environ = request.environ
        media_type, options = parse_options_header(environ.get("CONTENT_TYPE", ""))
        if media_type.lower() != self.media_type:
            raise not_accepted(self.media_type)
        require_uncompressed(environ)
        boundary = options.get("boundary", "")
        if _BOUNDARY.fullmatch(boundary) is None:
            raise MalformedRequest("Content-Type needs a boundary of 1 to 70 characters (RFC 2046, 5.1.1)")
        decoder = MultipartDecoder(boundary.encode(), max_parts=self.most_parts)
        form = read_whole_body(environ, self.limit)
        pieces = (form[begin : begin + DECODED_AT_ONCE] for begin in range(0, len(form), DECODED_AT_ONCE))
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, NeedData):
                decoder.receive_data(next(pieces, None))
            elif isinstance(event, Field | File):
                if not event.name:
                    raise ValueError("a part without a name")
                part, content = event, BytesIO()
            elif isinstance(event, Data):
                content.write(event.data)
                if not event.more_data:
                    yield part, content

    def described(self, schemas: Schemas) -> dict[str, Any]:
        members, required = schemas.members(self.model)
        files = {name: _file_schema(part) for name, part in self.files.items()}
        needed = required | {name for name, part in self.files.items() if part.required}
        return {
            "schema": {
                "type": "object",
                "properties": {**members, **files},
                "additionalProperties": False,
                **({"required": sorted(needed)} if needed else {}),
            },
            "encoding": {
                name: {"contentType": ", ".join(part.media_types or ["application/octet-stream"])}
                for name, part in self.files.items()
            },
        }


def _file(part: Field | File, content: BytesIO, declared: FilePart) -> FileStorage:
    name = part.filename if isinstance(part, File) else None
    file = FileStorage(content, name, part.name, headers=part.headers)
    if declared.media_types and file.mimetype not in declared.media_types:
        raise UnsupportedMediaType(
            f"Send {part.name} as {' or '.join(declared.media_types)}, with that Content-Type",
            headers={"Accept-Post": Multipart.media_type},
        )
    if content.tell() > declared.limit:
        raise BodyTooLarge(f"{part.name} can have at most {declared.limit:,} bytes")
    content.seek(0)
    return file


def _file_schema(part: FilePart) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    told = f"{' or '.join(part.media_types) or 'A file'}, at most {part.limit:,} bytes."
    if part.most == 1:
        return {**file, "description": told}
    return {"type": "array", "items": file, "maxItems": part.most, "description": told}
