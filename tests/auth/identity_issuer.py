"""An identity provider on loopback, with keys of its own."""

import json
import threading
import time
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

AUDIENCE = "com.example.app"


@cache
def key_of(issuer: str, key_id: str) -> RSAPrivateKey:
    """The same for every test of a process, because making one takes a tenth of a second."""
    return generate_private_key(65537, 2048)


class IdentityIssuer:
    """Serves its public keys, counts how often they were fetched, and signs what a test tells it to.

    Google's speaks of a Workspace account (`hd`) unless a test leaves that out.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.fetches = 0
        self.fault: str | None = None
        self.keys: dict[str, RSAPrivateKey] = {}
        self.add_key("key-1")
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.fetches += 1
                status, content = outer._answer()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> "IdentityIssuer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/keys"

    def add_key(self, key_id: str) -> None:
        self.keys[key_id] = key_of(self.issuer, key_id)

    def token(self, *, key_id: str = "key-1", without: str | None = None, **claims: Any) -> str:
        now = int(time.time())
        content = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "subject-1",
            "iat": now,
            "exp": now + 600,
            "email": "alice@example.com",
            "email_verified": True,
            **({"hd": "example.com"} if "google" in self.issuer else {}),
            **claims,
        }
        content.pop(without or "", None)
        return jwt.encode(content, self.keys[key_id], "RS256", {"kid": key_id})

    def _answer(self) -> tuple[int, bytes]:
        if self.fault == "status":
            return 500, b"{}"
        if self.fault == "redirect":
            return 302, b""
        if self.fault == "garbage":
            return 200, b"<html>"
        if self.fault == "large":
            return 200, b" " * 300_000
        keys = []
        for key_id, key in self.keys.items():
            document = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
            keys.append({**document, "kid": key_id, "alg": "RS256", "use": "sig"})
        return 200, json.dumps({"keys": keys}).encode()
