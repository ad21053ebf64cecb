"""`/api/auth/apple` and `/api/auth/google`: sign in with an ID token. `/api/auth/identities`: link and unlink those accounts."""

from functools import partial
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.bodies import SignedInAnswer
from auth.identity_providers.bodies import (
    AppleTokenBody,
    IdentitiesAnswer,
    IdentityAnswer,
    IdTokenBody,
    LinkAppleBody,
    LinkIdentityBody,
)
from auth.identity_providers.id_token import IdTokenNotValid, IdTokens
from auth.identity_providers.jwks import ProviderUnavailable
from auth.identity_providers.linked import IdentityTaken, link_identity, list_identities, unlink_identity
from auth.identity_providers.sign_in import AddressNeedsProof, sign_in_with_provider
from auth.invites.redeem import registration_problems
from auth.principal import Principal
from auth.problems import AccountClosing, AccountDisabled, EmailTaken
from auth.rate_limits.by_address import AnyoneWithin
from auth.second_factor.challenge import SecondFactorRequired
from auth.second_factor.ways_to_sign_in import LastWayToSignIn
from auth.sessions.cookies import CsrfFailed
from auth.token_answers import SET_COOKIE, answer_signed_in
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.edge.client_address import client_address
from security.edge.problems import TooManyRequests


def provider_routes(auth: Auth, providers: list[IdTokens]) -> Blueprint:
    """One route for each provider that has an audience. Without one the route does not exist."""
    routes = Blueprint("providers", __name__, url_prefix="/api/auth")
    for tokens in providers:
        _declare_sign_in(routes, auth, tokens)
        _declare_linking(routes, auth, tokens)
    return routes


def _declare_sign_in(routes: Blueprint, auth: Auth, tokens: IdTokens) -> None:
    name, limits = tokens.provider.name, auth.settings.limits

    def sign_in(body: IdTokenBody) -> Answer:
        """Get an ID token from the provider with a nonce of your own, and send both within 10 minutes.

        The first sign-in creates an account, or links to the account that uses the e-mail address. It links only if the
        provider knows who owns the address now: Apple always does, Google for Gmail and Workspace. Otherwise the response is 409
        `address_needs_proof`: sign in to the account another way and link Google there. An account with a second factor asks
        for it here too: see `POST /api/auth/login/second-factor`.
        """
        return answer_signed_in(auth.cookies, body, partial(sign_in_with_provider, auth, tokens, body))

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
        body=AppleTokenBody if name == "apple" else IdTokenBody,
        answers={200: SignedInAnswer},
        problems=(
            IdTokenNotValid,
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


def _declare_linking(routes: Blueprint, auth: Auth, tokens: IdTokens) -> None:
    name = tokens.provider.name

    def link(body: LinkIdentityBody, caller: Principal) -> Answer:
        """It can then sign in to your account, whatever its e-mail address. We tell you by e-mail."""
        auth.address_limits.count(auth.settings.limits.sign_in, "sign_in", client_address())
        proven = tokens.verify(body.id_token, body.nonce)
        return Answer(200, link_identity(auth, caller, proven, body))

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
        problems=(IdTokenNotValid, IdentityTaken, ProviderUnavailable, TooManyRequests),
    )(link)


def identity_routes(auth: Auth) -> Blueprint:
    """What needs no provider; linking is one of `provider_routes`."""
    routes = Blueprint("identities", __name__, url_prefix="/api/auth/identities")

    @operation(
        routes,
        "GET",
        "",
        operation_id="listIdentities",
        summary="List your linked Apple and Google accounts",
        guard=auth.signed_in,
        query=ListQuery,
        answers={200: IdentitiesAnswer},
    )
    def list_own(caller: Principal, query: ListQuery) -> Answer:
        """Returns the accounts that can sign in to yours, the newest first."""
        page = list_identities(caller.user_id, query)
        return Answer(200, IdentitiesAnswer(identities=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "DELETE",
        "/<uuid:identity_id>",
        operation_id="unlinkIdentity",
        summary="Unlink an Apple or Google account",
        guard=auth.recently_signed_in,
        problems=(LastWayToSignIn,),
    )
    def unlink(caller: Principal, identity_id: UUID) -> None:
        """It can no longer sign in to your account. Signs out every other device. You cannot remove your only way to sign in: 409
        `last_way_to_sign_in`.
        """
        unlink_identity(auth, caller, identity_id)

    return routes
