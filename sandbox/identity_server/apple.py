"""Apple's side: codes and ID tokens, the public keys, and the endpoints that exchange a code and take back a token.

Rules: developer.apple.com/documentation/signinwithapplerestapi, "Token validation", "Token revocation" and "ErrorResponse".
"""

import json
import secrets
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from urllib.parse import parse_qs

from sandbox.http_listener import Reply, Request
from sandbox.identity_server.client_secret import ClientRefused, ClientSecretCheck
from sandbox.identity_server.id_tokens import IdTokens, number_of

CODE_LIVES = timedelta(minutes=5)
TOKEN_LIVES = timedelta(hours=1)


@dataclass(frozen=True)
class Code:
    client_id: str
    email: str
    nonce: str
    redirect_uri: str | None
    expires_at: datetime


@dataclass
class Apple:
    """`nonce` stands in the token as it is given; apps give Apple the SHA-256 of theirs."""

    tokens: IdTokens
    clients: ClientSecretCheck
    faults: deque[Reply] = field(default_factory=deque)
    """Each is the answer to one request to a token endpoint, in place of the truth."""
    _codes: dict[str, Code] = field(default_factory=dict)
    _refresh_tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Token to app and person."""
    _lock: Lock = field(default_factory=Lock)

    def answer(self, request: Request) -> Reply:
        with self._lock:
            match request.method, request.path:
                case "GET", "/auth/keys":
                    return Reply(200, self.tokens.jwks)
                case "GET", "/auth/authorize":
                    return self._authorize({name: values[0] for name, values in request.query.items()})
                case "POST", "/auth/token" | "/auth/revoke":
                    return self.faults.popleft() if self.faults else self._called(request)
                case "GET", "/controls/authorizations":
                    return Reply(200, {"authorizations": self._authorizations()})
                case "POST", "/controls/fail":
                    return self._fail(json.loads(request.body))
        return Reply(404, {"error": "not_found"})

    def authorize(self, client_id: str, email: str, nonce: str, redirect_uri: str | None = None) -> dict[str, str]:
        """What the app gets when the person has agreed: a code and an ID token."""
        code = f"c{secrets.token_hex(16)}.0.{secrets.token_urlsafe(16)}"
        self._codes[code] = Code(client_id, email, nonce, redirect_uri, self.tokens.clock() + CODE_LIVES)
        return {"code": code, "id_token": self._id_token(self._codes[code])}

    def _authorize(self, asked: dict[str, str]) -> Reply:
        email, client_id = asked.get("email", ""), asked.get("client_id", self.clients.client_id)
        if client_id != self.clients.client_id:
            return Reply(400, {"error": "invalid_client"})
        if "@" not in email or "nonce" not in asked:
            return Reply(400, {"error": "invalid_request", "error_description": "Give email and nonce."})
        return Reply(200, self.authorize(client_id, email, asked["nonce"], asked.get("redirect_uri")))

    def _id_token(self, code: Code) -> str:
        # Apple has written the flag as text (developer.apple.com, "Authenticating users with Sign in with Apple").
        claims = {"email": code.email, "email_verified": "true", "nonce": code.nonce, "nonce_supported": True}
        return self.tokens.sign(code.client_id, subject_of(code.email), **claims)

    def _called(self, request: Request) -> Reply:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        try:
            client_id = self.clients.check(form.get("client_id", ""), form.get("client_secret", ""))
        except ClientRefused:
            return Reply(400, {"error": "invalid_client"})
        return self._exchange(client_id, form) if request.path == "/auth/token" else self._revoke(client_id, form)

    def _exchange(self, client_id: str, form: dict[str, str]) -> Reply:
        if form.get("grant_type") != "authorization_code":
            return Reply(400, {"error": "unsupported_grant_type"})
        code = self._codes.pop(form.get("code", ""), None)
        if (
            code is None
            or code.client_id != client_id
            or code.redirect_uri != form.get("redirect_uri")
            or code.expires_at <= self.tokens.clock()
        ):
            return Reply(400, {"error": "invalid_grant"})
        refresh_token = f"r{secrets.token_hex(16)}.0.{secrets.token_urlsafe(16)}"
        self._refresh_tokens[refresh_token] = client_id, code.email
        return Reply(
            200,
            {
                "access_token": f"a{secrets.token_hex(16)}.0.{secrets.token_urlsafe(16)}",
                "token_type": "Bearer",
                "expires_in": int(TOKEN_LIVES.total_seconds()),
                "refresh_token": refresh_token,
                "id_token": self._id_token(code),
            },
        )

    def _revoke(self, client_id: str, form: dict[str, str]) -> Reply:
        """The person's authorization of the app ends, with all its tokens. One that is not known is no error to Apple."""
        if "token" not in form:
            return Reply(400, {"error": "invalid_request"})
        gone = self._refresh_tokens.get(form["token"])
        if gone is not None and gone[0] == client_id:
            self._refresh_tokens = {token: of for token, of in self._refresh_tokens.items() if of != gone}
        return Reply(200)

    def _authorizations(self) -> list[dict[str, str]]:
        """What stands in a person's settings, under the apps that sign in with their Apple account."""
        return [{"client_id": app, "email": email} for app, email in sorted(set(self._refresh_tokens.values()))]

    def _fail(self, wanted: dict[str, object]) -> Reply:
        """`error` is Apple's word; without it the answer is 503 and no JSON."""
        error, times = wanted.get("error"), int(str(wanted.get("times", 1)))
        self.faults.extend(
            [Reply(503, "Service Unavailable") if error is None else Reply(400, {"error": error})] * times
        )
        return Reply(200, {"faults": len(self.faults)})


def subject_of(email: str) -> str:
    """Of the form of Apple's user identifiers."""
    return f"000000.{number_of(email):032x}.0000"
