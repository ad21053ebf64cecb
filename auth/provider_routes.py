"""`/api/auth/apple` and `/api/auth/google`: sign in with an identity token."""

from typing import Annotated

from flask import Blueprint
from pydantic import Field

from auth.address_limits import AnyoneWithin
from auth.assembly import Auth
from auth.bodies import InviteCode, SignedInAnswer
from auth.give_tokens import answer_signed_in
from auth.identity_token import LONGEST_TOKEN, IdentityTokenNotValid, IdentityTokens
from auth.provider_keys import ProviderUnavailable
from auth.redeem_invite import registration_problems
from auth.routes import device
from auth.second_factor.ask_second_factor import SecondFactorRequired
from auth.sign_in import AccountDisabled
from auth.sign_in_with_provider import sign_in_with_provider
from security.operation import Answer, Body, operation


class IdentityTokenBody(Body):
    id_token: Annotated[str, Field(max_length=LONGEST_TOKEN)]
    nonce: Annotated[str, Field(min_length=16, max_length=128)]
    remember_me: bool = False
    invite_code: InviteCode | None = None
    """For a new account, where those are made by invitation."""


def provider_routes(auth: Auth, providers: list[IdentityTokens]) -> Blueprint:
    """One route for each provider that has an audience. Without one the route does not exist."""
    routes = Blueprint("providers", __name__, url_prefix="/api/auth")
    for tokens in providers:
        _declare(routes, auth, tokens)
    return routes


def _declare(routes: Blueprint, auth: Auth, tokens: IdentityTokens) -> None:
    name, limits = tokens.provider.name, auth.settings.limits

    def sign_in(body: IdentityTokenBody) -> Answer:
        """The app asks the provider for an identity token with a nonce of its own, and posts both.

        A new identity makes an account, or joins the one of its verified e-mail address. An account with a second factor
        asks for it here too: see `POST /api/auth/login/second-factor`.
        """
        proven = tokens.verify(body.id_token, body.nonce)
        signed_in = sign_in_with_provider(
            auth, proven, remember=body.remember_me, device=device(), invite_code=body.invite_code
        )
        return answer_signed_in(signed_in)

    sign_in.__name__ = f"sign_in_with_{name}"
    operation(
        routes,
        "POST",
        f"/{name}",
        summary=f"Sign in with {name.capitalize()}",
        guard=AnyoneWithin(
            "nobody is signed in yet", auth.address_limits, limits.sign_in, "sign_in", also=limits.sign_in_hourly
        ),
        body=IdentityTokenBody,
        answers={200: SignedInAnswer},
        problems=(
            IdentityTokenNotValid,
            SecondFactorRequired,
            AccountDisabled,
            ProviderUnavailable,
            *registration_problems(auth),
        ),
    )(sign_in)
