"""`GET /.well-known/jwks.json` (RFC 7517): the public keys with which others can verify our access tokens."""

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from flask import Blueprint
from jwt.algorithms import ECAlgorithm

from auth.tokens.access_keys import AccessKeyRing
from security.api.models import AnswerBody
from security.api.operation import Answer, Anyone, operation

CACHE_SECONDS = 300


class PublicKey(AnswerBody):
    kty: Literal["EC"] = "EC"
    crv: Literal["P-256"] = "P-256"
    alg: Literal["ES256"] = "ES256"
    use: Literal["sig"] = "sig"
    kid: str
    x: str
    y: str


class PublicKeys(AnswerBody):
    keys: list[PublicKey]


def jwks_routes(keys: AccessKeyRing) -> Blueprint:
    routes = Blueprint("keys", __name__, url_prefix="/.well-known")
    # HS256 keys are secrets and have no public half; nothing of them is published.
    published = PublicKeys(
        keys=[
            PublicKey.model_validate({"kid": key.key_id, **ECAlgorithm.to_jwk(key.verifier, as_dict=True)})
            for key in keys.keys
            if isinstance(key.verifier, EllipticCurvePublicKey)
        ]
    )

    @operation(
        routes,
        "GET",
        "/jwks.json",
        operation_id="listPublicKeys",
        summary="Get the public keys of access tokens",
        guard=Anyone("public keys are public"),
        answers={200: PublicKeys},
    )
    def read_public_keys() -> Answer:
        """Returns a JSON Web Key Set (RFC 7517). It is empty while tokens are signed with HS256. During a rotation it includes the new
        key before the key signs tokens.
        """
        return Answer(200, published, {"Cache-Control": f"public, max-age={CACHE_SECONDS}"})

    return routes
