"""Notices of security events: the owner of an account learns of what was done with it."""

from datetime import datetime

from flask import has_request_context, request
from sqlalchemy.orm import Session

from auth.device import printable
from auth.mail.messages import Mailer

NOTICES = {
    "refresh_token_reused": (
        "We ended a session to protect your account",
        "Two devices used the same sign-in. Someone may have copied it, so we signed out that session.",
    ),
    "api_key_created": (
        "A new API key was created",
        "Programs can use the new key to act for you. If you did not create it, delete the key and change your password.",
    ),
    "api_key_rotated": (
        "An API key was replaced",
        "A new key replaced one of your API keys. If you did not replace it, delete the new key and change your password.",
    ),
    "password_changed": (
        "Your password was changed",
        "The password of your account was changed. Every other device was signed out.",
    ),
    "password_reset": (
        "Your password was reset",
        "A new password was set with an e-mail to this address. Every device was signed out. API keys, linked Apple and Google"
        " accounts, second factors and passkeys added in the last two weeks were removed.",
    ),
    "account_restored": (
        "Your account is restored",
        "Your account was closed and is now open again. Subscriptions that ended stay ended.",
    ),
    "many_wrong_passwords": (
        "Someone is guessing your password",
        "Someone entered 10 wrong passwords for your account within an hour. We limit such tries, and you can still sign in on"
        " your own devices.",
    ),
    "totp_turned_on": (
        "Your authenticator app is on",
        "From now on, signing in to your account needs a code from your authenticator app. Every other device was signed out.",
    ),
    "totp_turned_off": (
        "Your authenticator app is off",
        "Signing in to your account no longer needs a code from an authenticator app. Every other device was signed out.",
    ),
    "recovery_codes_replaced": (
        "You have new recovery codes",
        "Your old recovery codes no longer work. Every other device was signed out.",
    ),
    "recovery_code_used": (
        "A recovery code was used",
        "One of your recovery codes was used. It does not work again.",
    ),
    "passkey_added": (
        "A passkey was added",
        "You can now sign in to your account with a new passkey. Every other device was signed out.",
    ),
    "passkey_removed": (
        "A passkey was removed",
        "One of your passkeys no longer works. Every other device was signed out.",
    ),
    "passkey_sign_count_went_back": (
        "Someone may have copied a passkey",
        "We refused one of your passkeys because its use count went backwards. Delete this passkey and add a new one.",
    ),
    "many_wrong_second_factors": (
        "Someone is guessing your second factor",
        "Someone entered 10 wrong codes for your account within an hour. They may know your password, so change it.",
    ),
    "identity_linked": (
        "A new way to sign in was added",
        "An Apple or Google account was linked and can now sign in to your account. If you did not link it, unlink it and reset your"
        " password.",
    ),
    "identity_unlinked": (
        "A way to sign in was removed",
        "An Apple or Google account was unlinked and can no longer sign in to your account. Every other device was signed out.",
    ),
    "second_factor_reset": (
        "Your second factor was reset",
        "Our support team removed your second factors and passkeys, and the API keys and linked accounts added in the last two weeks."
        " Every device was signed out. If you did not ask for this, set a new password now.",
    ),
    "added_access_removed": (
        "Recent access to your account was removed",
        "API keys, linked Apple and Google accounts, second factors and passkeys added after a time chosen in the app were removed,"
        " and devices were signed out.",
    ),
    "unverified_account_taken_over_by_its_owner": (
        "Someone else had registered your e-mail address",
        "You signed in with Apple or Google, which proved that this address is yours. Someone had created an account with it before"
        " without confirming the address. Their password and sessions no longer work.",
    ),
}
"""Event to headline and sentence. `notify` sends an e-mail for the events listed here."""


def notify(mailer: Mailer, session: Session, event: str, email: str, now: datetime) -> None:
    """Tell the owner, if the session's transaction is committed."""
    headline, sentence = NOTICES[event]
    mailer.enqueue(
        session,
        "security_notice",
        email,
        headline=headline,
        sentence=sentence,
        when=f"{now:%d %B %Y, %H:%M} UTC",
        device=printable(request.environ.get("HTTP_USER_AGENT")) if has_request_context() else None,
        base_url=mailer.base_url,
    )


def notify_holder(mailer: Mailer, session: Session, address: str) -> None:
    """Somebody wanted to use an address that an account has: its owner, who forgot, or a stranger."""
    mailer.enqueue(session, "address_in_use", address, address=address, base_url=mailer.base_url)
