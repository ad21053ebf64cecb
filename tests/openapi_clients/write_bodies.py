"""Write the OpenAPI document, and the bodies of the README as TypeScript and Python that use clients generated from it.

`python -m tests.openapi_clients.write_bodies FOLDER`; `make check-openapi` then compiles them.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.toy_api import toy_app
from tests.whole.environment import EVERYTHING, production_environment

ROOT = Path(__file__).parents[2]
PUBLIC_BASE_URL = "https://api.mirroros.test"
NOWHERE = "postgresql://mirroros@127.0.0.1:1/mirroros"
AN_ID = "0193a5b0-7c1e-7000-8000-0242ac120002"
PASSKEY = {
    "id": "AQ",
    "rawId": "AQ",
    "type": "public-key",
    "response": {"clientDataJSON": "AQ", "authenticatorData": "AQ", "signature": "AQ"},
}


@dataclass(frozen=True)
class Example:
    method: str
    path: str
    body: Any


EVERY_FORM = (
    Example("post", "/api/auth/login/second-factor", {"challenge": "c", "totp_code": "492039"}),
    Example("post", "/api/auth/login/second-factor", {"challenge": "c", "recovery_code": "7K2QD-X9M4T"}),
    Example("post", "/api/auth/login/second-factor", {"challenge": "c", "passkey": PASSKEY, "device_name": "phone"}),
    Example("post", "/api/auth/reauthenticate/second-factor", {"totp_code": "492039"}),
    Example("post", "/api/auth/reauthenticate/second-factor", {"recovery_code": "7K2QD-X9M4T"}),
    Example("post", "/api/auth/reauthenticate/second-factor", {"passkey": PASSKEY}),
    Example("post", "/api/auth/verify-email", {"token": "t"}),
    Example("post", "/api/auth/verify-email", {"email": "alice@example.com", "code": "492039"}),
    Example("post", "/api/auth/reset-password", {"token": "t", "new_password": "tulip-9-orbit-canoe"}),
    Example(
        "post",
        "/api/auth/reset-password",
        {"email": "alice@example.com", "code": "492039", "new_password": "tulip-9-orbit-canoe"},
    ),
    Example("post", "/api/gateway/predict", {"goal": "Learn Finnish", "timeframe": "a year", "options": {}}),
    Example(
        "post",
        "/api/payments/stripe/create-checkout-session",
        {"tier": "pro", "billing_cycle": "monthly", "success_url": None},
    ),
)
"""Beside the README's: each form of a body that has several, and members that may be left out or null."""


def document() -> dict[str, Any]:
    """What `flask openapi` prints with every route switched on."""
    environ = {**production_environment(NOWHERE, "https://predict.example.com"), **EVERYTHING}
    printed = subprocess.run(
        [sys.executable, "-m", "flask", "openapi"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environ, "PUBLIC_BASE_URL": PUBLIC_BASE_URL},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, Any] = json.loads(printed.stdout)
    return found


def toy_document() -> dict[str, Any]:
    """With every kind of body and answer, those that no product has yet among them."""
    found: dict[str, Any] = toy_app().test_client().get("/openapi.json").get_json()
    return found


def readme_examples(readme: str) -> list[Example]:
    """The bodies of its curl lines. Raises ValueError for one that cannot be read."""
    commands = [
        line
        for block in re.findall(r"^```bash\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
        for line in block.replace("\\\n", " ").splitlines()
        if "curl" in line and " -d " in line
    ]
    return [_example(command) for command in commands]


def _example(command: str) -> Example:
    address = re.search(r"https?://localhost:8000(/[^\s'\"?]+)", command)
    body = re.search(r" -d '([^']*)'", command)
    if address is None or body is None:
        raise ValueError(f"This line has no address or no body: {command}")
    method = re.search(r" -X ([A-Z]+)", command)
    return Example(method[1].lower() if method else "post", address[1], json.loads(body[1]))


def typescript(described: Mapping[str, Any], examples: list[Example]) -> str:
    lines = [
        'import type { paths } from "./schema";',
        "type JsonBody<T> = NonNullable<T> extends { content: { 'application/json': infer B } } ? B : never;",
        "type Known<T> = 0 extends 1 & T ? false : unknown extends T ? false : [T] extends [never] ? false : true;",
    ]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                lines.append(
                    f"export const {operation['operationId']}IsTyped: Known<{_body_type(path, method)}> = true;"
                )
    for number, example in enumerate(examples):
        body = json.dumps(example.body, ensure_ascii=False)
        lines.append(f"export const body{number}: {_body_type(example.path, example.method)} = {body};")
    return "\n".join(lines) + "\n"


def _body_type(path: str, method: str) -> str:
    return f'JsonBody<paths["{path}"]["{method}"]["requestBody"]>'


def python(described: Mapping[str, Any], examples: list[Example]) -> str:
    lines = ["from uuid import UUID", "import mirroros_client.models as models"]
    lines.append("from mirroros_client import AuthenticatedClient, Client")
    calls = []
    for example in examples:
        operation = described["paths"][example.path][example.method]
        module = _snake(operation["operationId"])
        lines.append(f"from mirroros_client.api.{operation['tags'][0]} import {module}")
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        client = (
            f'AuthenticatedClient("{PUBLIC_BASE_URL}", "t")'
            if operation["security"]
            else f'Client("{PUBLIC_BASE_URL}")'
        )
        calls.append(f"{module}.sync(client={client}, body={_Python(described).value(example.body, schema, '')})")
    return "\n".join([*dict.fromkeys(lines), "", *calls]) + "\n"


@dataclass(frozen=True)
class _Python:
    """Writes JSON as what openapi-python-client makes of its schema: attrs classes, enums, UUIDs."""

    described: Mapping[str, Any]

    def value(self, value: Any, schema: Mapping[str, Any], inline_name: str) -> str:
        schema, name = self._resolved(schema, value, inline_name)
        if value is None:
            return "None"
        if isinstance(value, dict):
            members = (
                f"{_snake(member)}={self.value(given, schema['properties'][member], name + _pascal(member))}"
                for member, given in value.items()
            )
            return f"models.{name}({', '.join(members)})"
        if "enum" in schema:
            return f"models.{name}({value!r})"
        return f"UUID({value!r})" if schema.get("format") == "uuid" else repr(value)

    def _resolved(self, schema: Mapping[str, Any], value: Any, name: str) -> tuple[Mapping[str, Any], str]:
        """The schema that the value has, with the name of its class."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return self._resolved(self.described["components"]["schemas"][name], value, name)
        for choice in self._choices(schema):
            found, chosen_name = self._resolved(choice, value, name)
            if not isinstance(value, dict) or value.keys() <= found["properties"].keys():
                return found, chosen_name
        return schema, name

    @staticmethod
    def _choices(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for choice in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
            if choice != {"type": "null"}:
                yield choice


def _snake(name: str) -> str:
    """As openapi-python-client does."""
    return "type_" if name == "type" else re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _pascal(name: str) -> str:
    return name.replace("_", " ").title().replace(" ", "")


def main(folder: Path) -> None:
    described = document()
    examples = [*readme_examples((ROOT / "README.md").read_text(encoding="utf-8")), *EVERY_FORM]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    (folder / "toy.json").write_text(json.dumps(toy_document(), indent=1), encoding="utf-8")
    (folder / "bodies.ts").write_text(typescript(described, examples), encoding="utf-8")
    (folder / "bodies.py").write_text(python(described, examples), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
