"""`/api/auth/apple` and `/api/auth/google`: sign in with an identity token."""

from typing import Annotated

from flask import Blueprint
from pydantic import Field

from auth.address_limits import AnyoneWithin
from auth.assembly import Auth
from auth.bodies import InviteCode, NewSession, SignedInAnswer
from auth.give_tokens import SET_COOKIE, answer_signed_in
from auth.identity_token import LONGEST_TOKEN, IdentityTokenNotValid, IdentityTokens
from auth.provider_keys import ProviderUnavailable
from auth.redeem_invite import registration_problems
from auth.routes import device
from auth.second_factor.ask_second_factor import SecondFactorRequired
from auth.sign_in import AccountClosing, AccountDisabled
from auth.sign_in_with_provider import sign_in_with_provider
from auth.token_cookies import CsrfFailed
from security.operation import Answer, operation


class IdentityTokenBody(NewSession):
    id_token: Annotated[str, Field(max_length=LONGEST_TOKEN)]
    nonce: Annotated[str, Field(min_length=16, max_length=128)]
    remember_me: bool = False
    invite_code: InviteCode | None = None
    """For a new account, where those are made by invitation."""
    restore_account: bool = False
    """Have an account back that was closed and is not deleted yet."""


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
        cookies = auth.cookies.wanted(body.token_delivery)
        proven = tokens.verify(body.id_token, body.nonce)
        signed_in = sign_in_with_provider(
            auth,
            proven,
            remember=body.remember_me,
            device=device(body.device_name),
            invite_code=body.invite_code,
            restore=body.restore_account,
        )
        return answer_signed_in(signed_in, cookies=cookies)

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
            AccountClosing,
            ProviderUnavailable,
            CsrfFailed,
            *registration_problems(auth),
        ),
        answer_headers=SET_COOKIE,
        credentials=True,
    )(sign_in)
