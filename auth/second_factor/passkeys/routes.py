"""`/api/auth/passkeys`: adding, listing and deleting passkeys, and signing in with one."""

from functools import partial
from uuid import UUID

from flask import Blueprint

from auth.assembly import Auth
from auth.bodies import SignedInAnswer
from auth.principal import Principal
from auth.problems import AccountClosing, AccountDisabled
from auth.rate_limits.by_address import AnyoneWithin
from auth.second_factor.bodies import (
    OptionsAnswer,
    PasskeyAddedAnswer,
    PasskeyAnswer,
    PasskeysAnswer,
    PasskeySignInBody,
    RegisterPasskeyBody,
    RenamePasskeyBody,
)
from auth.second_factor.passkeys.manage import delete_passkey, list_passkeys, rename_passkey
from auth.second_factor.passkeys.register import (
    PasskeyNotAccepted,
    TooManyPasskeys,
    passkey_to_register,
    register_passkey,
)
from auth.second_factor.passkeys.sign_in import PasskeyRefused, passkey_to_sign_in, sign_in_with_passkey
from auth.second_factor.ways_to_sign_in import LastWayToSignIn
from auth.sessions.cookies import CsrfFailed
from auth.token_answers import SET_COOKIE, answer_signed_in
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation


def passkey_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("passkeys", __name__, url_prefix="/api/auth/passkeys")

    @operation(
        routes,
        "POST",
        "/registration/options",
        operation_id="getPasskeyRegistrationOptions",
        summary="Get the options to create a passkey",
        guard=auth.recently_signed_in,
        answers={200: OptionsAnswer},
        problems=(TooManyPasskeys,),
    )
    def registration_options(caller: Principal) -> Answer:
        """Pass them to `navigator.credentials.create()` and send the result to `POST /api/auth/passkeys/registration`."""
        return Answer(200, OptionsAnswer(options=passkey_to_register(auth, caller)))

    @operation(
        routes,
        "POST",
        "/registration",
        operation_id="registerPasskey",
        summary="Add a passkey",
        guard=auth.recently_signed_in,
        body=RegisterPasskeyBody,
        answers={201: PasskeyAddedAnswer},
        problems=(PasskeyNotAccepted, TooManyPasskeys),
    )
    def registration(caller: Principal, body: RegisterPasskeyBody) -> Answer:
        """Signs out every other device. With the first second factor of the account you get 10 recovery codes. Store them now: we
        do not show them again.
        """
        return Answer(201, register_passkey(auth, caller, body))

    @operation(
        routes,
        "GET",
        "",
        operation_id="listPasskeys",
        summary="List your passkeys",
        guard=auth.signed_in,
        query=ListQuery,
        answers={200: PasskeysAnswer},
    )
    def passkeys(caller: Principal, query: ListQuery) -> Answer:
        """Returns the newest first, with their names and when each was last used."""
        page = list_passkeys(caller.user_id, query)
        return Answer(200, PasskeysAnswer(passkeys=list(page.items), next_cursor=page.next_cursor))

    @operation(
        routes,
        "PATCH",
        "/<uuid:passkey_id>",
        operation_id="renamePasskey",
        summary="Rename a passkey",
        guard=auth.signed_in,
        body=RenamePasskeyBody,
        answers={200: PasskeyAnswer},
    )
    def rename(caller: Principal, passkey_id: UUID, body: RenamePasskeyBody) -> Answer:
        """Only you see the name."""
        return Answer(200, rename_passkey(caller.user_id, passkey_id, body.name))

    @operation(
        routes,
        "DELETE",
        "/<uuid:passkey_id>",
        operation_id="deletePasskey",
        summary="Delete a passkey",
        guard=auth.recently_signed_in,
        problems=(LastWayToSignIn,),
    )
    def delete(caller: Principal, passkey_id: UUID) -> None:
        """Signs out every other device. Deleting your last second factor also deletes your recovery codes."""
        delete_passkey(auth, caller, passkey_id)

    anyone = AnyoneWithin("nobody is signed in yet", auth.address_limits, auth.settings.limits.sign_in, "sign_in")

    @operation(
        routes,
        "POST",
        "/sign-in/options",
        operation_id="getPasskeySignInOptions",
        summary="Get the options to sign in with a passkey",
        guard=anyone,
        answers={200: OptionsAnswer},
    )
    def sign_in_options() -> Answer:
        """Pass them to `navigator.credentials.get()`. The browser offers its passkeys, so you do not need an e-mail address."""
        return Answer(200, OptionsAnswer(options=passkey_to_sign_in(auth)))

    @operation(
        routes,
        "POST",
        "/sign-in",
        operation_id="signInWithPasskey",
        summary="Sign in with a passkey",
        guard=anyone,
        body=PasskeySignInBody,
        answers={200: SignedInAnswer},
        problems=(PasskeyRefused, AccountDisabled, AccountClosing, CsrfFailed),
        answer_headers=SET_COOKIE,
        credentials=True,
    )
    def sign_in(body: PasskeySignInBody) -> Answer:
        """A passkey counts as both factors, so no second factor is needed."""
        return answer_signed_in(auth.cookies, body, partial(sign_in_with_passkey, auth, body))

    return routes
