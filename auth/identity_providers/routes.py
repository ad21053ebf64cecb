"""`/api/auth/apple` and `/api/auth/google`: sign in with an identity token."""

from typing import Annotated

from flask import Blueprint
from pydantic import Field

from auth.assembly import Auth
from auth.bodies import InviteCode, NewSession, SignedInAnswer
from auth.device import device
from auth.identity_providers.id_token import LONGEST_TOKEN, IdentityTokenNotValid, IdentityTokens
from auth.identity_providers.identity_routes import IdentityAnswer, identity_answer
from auth.identity_providers.jwks import ProviderUnavailable
from auth.identity_providers.keep_apple_token import AppleCode
from auth.identity_providers.link import IdentityTaken, link_identity
from auth.identity_providers.sign_in import AddressNeedsProof, sign_in_with_provider
from auth.invites.redeem import registration_problems
from auth.principal import Principal
from auth.problems import AccountClosing, AccountDisabled, EmailTaken
from auth.rate_limits.by_address import AnyoneWithin
from auth.second_factor.challenge import SecondFactorRequired
from auth.sessions.cookies import CsrfFailed
from auth.token_answers import SET_COOKIE, answer_signed_in
from security.api.operation import Answer, Body, operation
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests

VISIBLE = "^[!-~]*$"
"""ASCII without blanks: what Apple's codes and addresses are made of."""

IdToken = Annotated[str, Field(max_length=LONGEST_TOKEN)]
Nonce = Annotated[str, Field(min_length=16, max_length=128)]
AuthorizationCode = Annotated[str, Field(min_length=1, max_length=1024, pattern=VISIBLE)]
RedirectUri = Annotated[str, Field(max_length=2048, pattern=VISIBLE, json_schema_extra={"format": "uri"})]


class LinkIdentityBody(Body):
    id_token: IdToken
    nonce: Nonce

    @property
    def apple_code(self) -> AppleCode | None:
        return None


class IdentityTokenBody(NewSession):
    id_token: IdToken
    nonce: Nonce
    remember_me: bool = False
    invite_code: InviteCode | None = None
    """For a new account, where those are made by invitation."""
    restore_account: bool = False
    """Have an account back that was closed and is not deleted yet."""

    @property
    def apple_code(self) -> AppleCode | None:
        return None


class AppleCodeFields(Body):
    authorization_code: AuthorizationCode | None = None
    """Apple's, from the same sign-in. With it the sign-in can be taken back at Apple when the account is deleted."""
    redirect_uri: RedirectUri | None = None
    """Web apps: the one that the code was asked for with."""

    @property
    def apple_code(self) -> AppleCode | None:
        return None if self.authorization_code is None else AppleCode(self.authorization_code, self.redirect_uri)


class AppleTokenBody(AppleCodeFields, IdentityTokenBody):
    pass


class LinkAppleBody(AppleCodeFields, LinkIdentityBody):
    pass


def provider_routes(auth: Auth, providers: list[IdentityTokens]) -> Blueprint:
    """One route for each provider that has an audience. Without one the route does not exist."""
    routes = Blueprint("providers", __name__, url_prefix="/api/auth")
    for tokens in providers:
        _declare_sign_in(routes, auth, tokens)
        _declare_linking(routes, auth, tokens)
    return routes


def _declare_sign_in(routes: Blueprint, auth: Auth, tokens: IdentityTokens) -> None:
    name, limits = tokens.provider.name, auth.settings.limits

    def sign_in(body: IdentityTokenBody) -> Answer:
        """The app asks the provider for an identity token with a nonce of its own, and sends both within ten minutes.

        Creates an account, or joins the one that has the e-mail address. It joins only where the provider knows who has the
        address now: Apple always, Google for Gmail and Workspace. Otherwise the answer is 409 `address_needs_proof`: sign in
        to the account in another way, then link it. An account with a second factor asks for it here too: see
        `POST /api/auth/login/second-factor`.
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
            apple_code=body.apple_code,
        )
        return answer_signed_in(signed_in, cookies=cookies)

    sign_in.__name__ = f"sign_in_with_{name}"
    operation(
        routes,
        "POST",
        f"/{name}",
        operation_id=f"signInWith{name.capitalize()}",
        summary=f"Sign in with {name.capitalize()}",
        guard=AnyoneWithin(
            "nobody is signed in yet", auth.address_limits, limits.sign_in, "sign_in", also=limits.sign_in_hourly
        ),
        body=AppleTokenBody if name == "apple" else IdentityTokenBody,
        answers={200: SignedInAnswer},
        problems=(
            IdentityTokenNotValid,
            SecondFactorRequired,
            AddressNeedsProof,
            EmailTaken,
            AccountDisabled,
            AccountClosing,
            ProviderUnavailable,
            CsrfFailed,
            *registration_problems(auth),
        ),
        answer_headers=SET_COOKIE,
        credentials=True,
    )(sign_in)


def _declare_linking(routes: Blueprint, auth: Auth, tokens: IdentityTokens) -> None:
    name = tokens.provider.name

    def link(body: LinkIdentityBody, caller: Principal) -> Answer:
        """From now on it signs in to your account, whatever its e-mail address. The owner is told by e-mail."""
        auth.address_limits.count(auth.settings.limits.sign_in, "sign_in", client_address())
        proven = tokens.verify(body.id_token, body.nonce)
        return Answer(200, identity_answer(link_identity(auth, caller, proven, body.apple_code)))

    link.__name__ = f"link_{name}"
    operation(
        routes,
        "POST",
        f"/identities/{name}",
        operation_id=f"link{name.capitalize()}Account",
        summary=f"Link your {name.capitalize()} account",
        guard=auth.recently_signed_in,
        body=LinkAppleBody if name == "apple" else LinkIdentityBody,
        answers={200: IdentityAnswer},
        problems=(IdentityTokenNotValid, IdentityTaken, ProviderUnavailable, TooManyRequests),
    )(link)
