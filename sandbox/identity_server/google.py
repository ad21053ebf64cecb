"""Google's side: an ID token for whoever is named, and the public keys."""

from dataclasses import dataclass

from sandbox.http_listener import Reply, Request
from sandbox.identity_server.id_tokens import IdTokens, number_of

CLIENT_ID = "1234567890-stand-in.apps.googleusercontent.com"


@dataclass(frozen=True)
class Google:
    """`hd`, the domain of a Workspace account, stands in the token when it is asked for. Without it, and outside of Gmail, Google
    does not answer for who has the address now.
    """

    tokens: IdTokens

    def answer(self, request: Request) -> Reply:
        if (request.method, request.path) == ("GET", "/oauth2/v3/certs"):
            return Reply(200, self.tokens.jwks)
        if (request.method, request.path) == ("GET", "/o/oauth2/v2/auth"):
            return self._authorize({name: values[0] for name, values in request.query.items()})
        return Reply(404, {"error": "not_found"})

    def _authorize(self, asked: dict[str, str]) -> Reply:
        email, client_id = asked.get("email", ""), asked.get("client_id", CLIENT_ID)
        if client_id != CLIENT_ID:
            return Reply(400, {"error": "invalid_client"})
        if "@" not in email or "nonce" not in asked:
            return Reply(400, {"error": "invalid_request", "error_description": "Give email and nonce."})
        claims: dict[str, object] = {"email": email, "email_verified": True, "nonce": asked["nonce"]}
        if "hd" in asked:
            claims["hd"] = asked["hd"]
        return Reply(200, {"id_token": self.tokens.sign(client_id, str(number_of(email))[:21], **claims)})
