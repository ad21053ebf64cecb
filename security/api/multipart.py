"""Forms with files: `multipart/form-data` (RFC 7578), of which nothing is kept that was not declared."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from tempfile import SpooledTemporaryFile
from typing import Any

from flask import request
from pydantic import BaseModel, ConfigDict
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData
from werkzeug.sansio.multipart import Event as Part

from security.api.request_bodies import Schemas, escaped, not_accepted, parse, query_reader
from security.api.strict_json import BodyStream, require_uncompressed
from security.edge.problems import BodyTooLarge, MalformedRequest, UnsupportedMediaType, ValidationFailed

READ_AT_ONCE = 64 * 1024
KEPT_IN_MEMORY = 512 * 1024
"""Of each file; the rest of it is in a temporary file without a name. The limits bound both."""
LARGEST_FIELDS = 64 * 1024
"""Bytes of all texts of a form."""
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
"""RFC 2046, 5.1.1."""


@dataclass(frozen=True)
class FilePart:
    """A file of a form. `limit` is bytes, `most` how many files the form may have under this name."""

    media_types: tuple[str, ...]
    limit: int
    required: bool = True
    most: int = 1
    description: str = ""


@dataclass(frozen=True)
class Form:
    """What the handler gets: an instance of the declared model, and the files by their names.

    A file ends with the request. Its `filename` and `mimetype` are what the client says, and prove nothing.
    """

    fields: Any
    files: Mapping[str, tuple[FileStorage, ...]]


class _NoFields(BaseModel):
    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class Multipart:
    """`limit` is bytes of the whole form, `most_parts` how many texts and files it may have.

    Its texts are read as those of a query are. A file of a media type that is not declared is refused before it is kept.
    """

    files: Mapping[str, FilePart]
    limit: int
    model: type[BaseModel] | None = None
    most_parts: int = 50
    media_type = "multipart/form-data"
    optional = False
    inline = True
    problems = (BodyTooLarge, UnsupportedMediaType, ValidationFailed)

    def read(self) -> Form:
        form = _ArrivingForm(self)
        request.files = form.files  # type: ignore[assignment] # Flask closes them at the end of the request
        try:
            for part in self._parts():
                form.add(part)
        except RequestEntityTooLarge:
            raise BodyTooLarge(f"The form can have at most {self.most_parts} parts, with short headers") from None
        except ValueError:
            raise MalformedRequest("The request body is not valid multipart/form-data") from None
        return form.checked()

    def _parts(self) -> Iterator[Part]:
        environ = request.environ
        media_type, options = parse_options_header(environ.get("CONTENT_TYPE", ""))
        if media_type.lower() != self.media_type:
            raise not_accepted(self.media_type)
        require_uncompressed(environ)
        boundary = options.get("boundary", "")
        if _BOUNDARY.fullmatch(boundary) is None:
            raise MalformedRequest("Content-Type needs a boundary of 1 to 70 characters (RFC 2046, 5.1.1)")
        body = BodyStream(environ, self.limit)
        decoder = MultipartDecoder(boundary.encode(), 2 * READ_AT_ONCE, max_parts=self.most_parts)
        while True:
            data = body.read(READ_AT_ONCE)
            decoder.receive_data(data or None)
            while not isinstance(part := decoder.next_event(), NeedData):
                if isinstance(part, Epilogue):
                    return
                yield part

    def described(self, schemas: Schemas) -> dict[str, Any]:
        members, required = ({}, set()) if self.model is None else schemas.members(self.model)
        files = {name: _file_schema(part) for name, part in self.files.items()}
        needed = required | {name for name, part in self.files.items() if part.required}
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {**members, **files},
            "additionalProperties": False,
        }
        if needed:
            schema["required"] = sorted(needed)
        encoding = {name: {"contentType": ", ".join(part.media_types)} for name, part in self.files.items()}
        return {"schema": schema, "encoding": encoding}


def _file_schema(part: FilePart) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    told = f"{' or '.join(part.media_types)}, at most {part.limit:,} bytes."
    described = {"description": f"{part.description} {told}".strip()}
    if part.most == 1:
        return {**file, **described}
    return {"type": "array", "items": file, "maxItems": part.most, **described}


@dataclass
class _ArrivingForm:
    declared: Multipart
    files: MultiDict[str, FileStorage] = field(default_factory=MultiDict)
    _texts: MultiDict[str, str] = field(default_factory=MultiDict)
    _text_bytes: int = 0
    _errors: list[dict[str, str]] = field(default_factory=list)
    _name: str = ""
    _text: bytearray | None = None
    _file: FileStorage | None = None

    def add(self, part: Part) -> None:
        """Raises ValueError for what is not well formed, BodyTooLarge, UnsupportedMediaType."""
        if isinstance(part, File | Field):
            if not part.name:
                raise ValueError("a part without a name")
            self._name = part.name
            self._file = self._begin_file(part) if isinstance(part, File) else None
            self._text = bytearray() if isinstance(part, Field) else None
        elif isinstance(part, Data):
            if self._text is not None:
                self._add_to_text(self._text, part)
            elif self._file is not None:
                self._add_to_file(self._file, part.data)

    def checked(self) -> Form:
        """Raises ValidationFailed, which names everything that is wrong or missing."""
        declared = self.declared
        errors = self._errors
        errors += [
            _error(name, "missing", "File required")
            for name, part in declared.files.items()
            if part.required and name not in self.files
        ]
        errors += [
            _error(name, "too_many_files", f"Send at most {declared.files[name].most} files")
            for name, files in self.files.lists()
            if len(files) > declared.files[name].most
        ]
        model = declared.model or _NoFields
        fields = None
        try:
            fields = parse(model, query_reader(model).document(self._texts))
        except ValidationFailed as refused:
            errors += refused.members["errors"]
        if errors:
            raise ValidationFailed(errors)
        for _, file in self.files.items(multi=True):
            file.stream.seek(0)
        files = {name: tuple(self.files.getlist(name)) for name in declared.files}
        return Form(None if declared.model is None else fields, files)

    def _begin_file(self, part: File) -> FileStorage | None:
        declared = self.declared.files.get(part.name)
        if declared is None:
            self._errors.append(
                _error(part.name, "unknown_file", "This operation does not accept a file with this name")
            )
            return None
        content = SpooledTemporaryFile(KEPT_IN_MEMORY)  # noqa: SIM115 - Flask closes it
        file = FileStorage(content, part.filename, part.name, headers=part.headers)
        self.files.add(part.name, file)
        if file.mimetype not in declared.media_types:
            raise UnsupportedMediaType(
                f"Send {part.name} as {' or '.join(declared.media_types)}, with that Content-Type",
                headers={"Accept-Post": self.declared.media_type},
            )
        return file

    def _add_to_file(self, file: FileStorage, data: bytes) -> None:
        limit = self.declared.files[self._name].limit
        if file.stream.tell() + len(data) > limit:
            raise BodyTooLarge(f"{self._name} can have at most {limit:,} bytes")
        file.stream.write(data)

    def _add_to_text(self, text: bytearray, part: Data) -> None:
        self._text_bytes += len(part.data)
        if self._text_bytes > LARGEST_FIELDS:
            raise BodyTooLarge(f"The text fields of the form can have at most {LARGEST_FIELDS:,} bytes in total")
        text += part.data
        if not part.more_data:
            self._texts.add(self._name, text.decode())


def _error(name: str, code: str, message: str) -> dict[str, str]:
    return {"pointer": f"/{escaped(name)}", "code": code, "message": message}
