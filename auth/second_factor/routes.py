"""`/api/auth/second-factor`, and the sign-ins and proofs that need one."""

from functools import partial

from flask import Blueprint

from auth.assembly import Auth
from auth.bodies import SignedInAnswer
from auth.principal import Principal
from auth.problems import AccountClosing, AccountDisabled
from auth.rate_limits.by_address import AnyoneWithin
from auth.second_factor.bodies import (
    AccessTokenAnswer,
    CodeBody,
    FactorAddedAnswer,
    FactorsAnswer,
    FinishSignInBody,
    OptionsAnswer,
    ProofBody,
    RecoveryCodesAnswer,
    TotpSetupAnswer,
    WaitingSignInBody,
)
from auth.second_factor.factors import SecondFactorOff, read_factors
from auth.second_factor.finish import SignInChallengeNotValid, finish_sign_in, passkey_for_sign_in
from auth.second_factor.prove import SecondFactorRefused
from auth.second_factor.reauthenticate import passkey_to_reauthenticate, reauthenticate_by_second_factor
from auth.second_factor.recovery_codes import replace_recovery_codes
from auth.second_factor.totp import TotpAlreadyOn, TotpNotConfirmed, confirm_totp, set_up_totp, turn_off_totp
from auth.sessions.cookies import CsrfFailed
from auth.token_answers import SET_COOKIE, answer_signed_in
from security.api.operation import Answer, operation
from security.edge.problems import NotFound, TooManyRequests


def second_factor_routes(auth: Auth) -> Blueprint:
    routes = Blueprint("second_factor", __name__, url_prefix="/api/auth")

    @operation(
        routes,
        "GET",
        "/second-factor",
        operation_id="getSecondFactors",
        summary="Get the second factors of your account",
        guard=auth.signed_in,
        answers={200: FactorsAnswer},
    )
    def status(caller: Principal) -> Answer:
        """Returns what is set up and how many recovery codes are left."""
        return Answer(200, FactorsAnswer.model_validate(read_factors(caller.user_id), from_attributes=True))

    @operation(
        routes,
        "POST",
        "/second-factor/totp/setup",
        operation_id="startTotpSetup",
        summary="Set up an authenticator app",
        guard=auth.recently_signed_in,
        answers={200: TotpSetupAnswer},
        problems=(TotpAlreadyOn,),
    )
    def totp_setup(caller: Principal) -> Answer:
        """Returns a secret for the app. Confirm it with a code within 15 minutes. Starting again replaces the secret."""
        return Answer(200, set_up_totp(auth, caller))

    @operation(
        routes,
        "POST",
        "/second-factor/totp/confirm",
        operation_id="confirmTotp",
        summary="Turn on the authenticator app",
        guard=auth.recently_signed_in,
        body=CodeBody,
        answers={200: FactorAddedAnswer},
        problems=(TotpNotConfirmed,),
    )
    def totp_confirm(caller: Principal, body: CodeBody) -> Answer:
        """Signs out every other device. With the first second factor of the account you get 10 recovery codes. Store them now: we
        do not show them again.
        """
        return Answer(200, FactorAddedAnswer(recovery_codes=confirm_totp(auth, caller, body.code)))

    @operation(
        routes,
        "DELETE",
        "/second-factor/totp",
        operation_id="removeTotp",
        summary="Turn off the authenticator app",
        guard=auth.recently_signed_in,
        problems=(NotFound,),
    )
    def totp_off(caller: Principal) -> None:
        """Signs out every other device. Removing your last second factor also deletes your recovery codes."""
        turn_off_totp(auth, caller)

    @operation(
        routes,
        "POST",
        "/second-factor/recovery-codes",
        operation_id="createRecoveryCodes",
        summary="Get ten new recovery codes",
        guard=auth.recently_signed_in,
        answers={200: RecoveryCodesAnswer},
        problems=(SecondFactorOff,),
    )
    def recovery_codes(caller: Principal) -> Answer:
        """The old codes stop working. Signs out every other device."""
        return Answer(200, RecoveryCodesAnswer(recovery_codes=replace_recovery_codes(auth, caller)))

    anyone = AnyoneWithin(
        "the challenge of the first factor is the credential",
        auth.address_limits,
        auth.settings.limits.second_factor,
        "second_factor",
    )

    @operation(
        routes,
        "POST",
        "/login/second-factor",
        operation_id="finishSignIn",
        summary="Finish a sign-in with the second factor",
        guard=anyone,
        body=FinishSignInBody,
        answers={200: SignedInAnswer},
        problems=(SignInChallengeNotValid, SecondFactorRefused, AccountDisabled, AccountClosing, CsrfFailed),
        answer_headers=SET_COOKIE,
        credentials=True,
    )
    def finish(body: FinishSignInBody) -> Answer:
        """Send the `challenge` of the `mfa_required` response and your second factor. After 5 wrong tries sign in again; after 20 in
        an hour you have to wait.
        """
        finishing = body.root
        return answer_signed_in(auth.cookies, finishing, partial(finish_sign_in, auth, finishing.challenge, finishing))

    @operation(
        routes,
        "POST",
        "/login/second-factor/passkey/options",
        operation_id="getSignInPasskeyOptions",
        summary="Get the options to finish a sign-in with a passkey",
        guard=anyone,
        body=WaitingSignInBody,
        answers={200: OptionsAnswer},
        problems=(SignInChallengeNotValid,),
    )
    def finish_options(body: WaitingSignInBody) -> Answer:
        """Pass them to `navigator.credentials.get()` and send the result to `POST /api/auth/login/second-factor`."""
        return Answer(200, OptionsAnswer(options=passkey_for_sign_in(auth, body.challenge)))

    @operation(
        routes,
        "POST",
        "/reauthenticate/second-factor",
        operation_id="reauthenticateWithSecondFactor",
        summary="Enter your second factor again",
        guard=auth.signed_in,
        body=ProofBody,
        answers={200: AccessTokenAnswer},
        problems=(SecondFactorOff, SecondFactorRefused, TooManyRequests),
    )
    def reauthenticate(caller: Principal, body: ProofBody) -> Answer:
        """Step-up authentication: returns an access token of the same session that can do what needs a recent sign-in for the next
        5 minutes.
        """
        token = reauthenticate_by_second_factor(auth, caller, body.root)
        return Answer(200, AccessTokenAnswer(access_token=token.text, expires_in=token.expires_in))

    @operation(
        routes,
        "POST",
        "/reauthenticate/second-factor/passkey/options",
        operation_id="getReauthenticationPasskeyOptions",
        summary="Get the options to use your passkey again",
        guard=auth.signed_in,
        answers={200: OptionsAnswer},
        problems=(SecondFactorOff,),
    )
    def reauthenticate_options(caller: Principal) -> Answer:
        """Pass them to `navigator.credentials.get()` and send the result to `POST /api/auth/reauthenticate/second-factor`."""
        return Answer(200, OptionsAnswer(options=passkey_to_reauthenticate(auth, caller)))

    return routes
