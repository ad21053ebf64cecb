"""Notices of security events: the owner of an account learns of what was done with it."""

from datetime import datetime

from flask import has_request_context, request
from sqlalchemy.orm import Session

from auth.device import printable
from auth.mail.messages import Letters

NOTICES = {
    "refresh_token_reused": (
        "A session was ended to protect you",
        "A sign-in of your account was used in two places at once. That can mean that somebody copied it, so we ended it.",
    ),
    "api_key_created": (
        "A new API key for your account",
        "A key was made with which programs can act for you. If that was not you, delete it and change your password.",
    ),
    "api_key_rotated": (
        "An API key of your account was replaced",
        "A new key took the place of one of yours. If that was not you, delete it and change your password.",
    ),
    "password_changed": (
        "Your password was changed",
        "The password of your account was changed, and every other session was ended.",
    ),
    "password_reset": (
        "Your password was reset",
        "A new password was set with an e-mail to this address. Every session was ended, and API keys, linked Apple and Google"
        " accounts, second factors and passkeys that had been added within the last two weeks were removed.",
    ),
    "account_restored": (
        "Your account is back",
        "Your account had been closed and was restored with its password. Subscriptions that were ended stay ended.",
    ),
    "many_wrong_passwords": (
        "Somebody is guessing your password",
        "Ten wrong passwords in a row were tried on your account. We slow such tries down; your own devices keep working.",
    ),
    "totp_turned_on": (
        "An authenticator app was set up",
        "From now on your account asks for a code of it whenever somebody signs in. All other sessions were ended.",
    ),
    "totp_turned_off": (
        "Your authenticator app was turned off",
        "Your account no longer asks for its codes. All other sessions were ended.",
    ),
    "recovery_codes_replaced": (
        "You have new recovery codes",
        "The recovery codes that you had before do not work any more. All other sessions were ended.",
    ),
    "recovery_code_used": (
        "A recovery code was used",
        "Somebody signed in with one of your recovery codes. It does not work a second time.",
    ),
    "passkey_added": (
        "A passkey was added",
        "Your account can now be opened with a new passkey. All other sessions were ended.",
    ),
    "passkey_removed": (
        "A passkey was removed",
        "A passkey no longer opens your account. All other sessions were ended.",
    ),
    "passkey_sign_count_went_back": (
        "A passkey may have been copied",
        "A passkey of yours was refused, because it counts its uses and the count went back. Delete it and make a new one.",
    ),
    "many_wrong_second_factors": (
        "Somebody is guessing your second factor",
        "Ten wrong codes were tried on your account within an hour. Whoever did that knows your password, so change it.",
    ),
    "identity_linked": (
        "A new way to sign in to your account",
        "An Apple or Google account was linked to your account and can sign in to it from now on. If that was not you, unlink it"
        " and reset your password.",
    ),
    "identity_unlinked": (
        "A way to sign in was removed from your account",
        "An Apple or Google account was unlinked and can no longer sign in. All other sessions were ended.",
    ),
    "second_factor_reset": (
        "Your second factor was reset",
        "Our support removed the second factors and passkeys of your account, and API keys and sign-ins that had been added within"
        " the last two weeks. Every session was ended. If you did not ask for this, set a new password now.",
    ),
    "added_access_removed": (
        "What had been added to your account was removed",
        "API keys, linked Apple and Google accounts, second factors and passkeys that had been added since a time chosen in the app"
        " were removed, and sessions were ended.",
    ),
    "unverified_account_taken_over_by_its_owner": (
        "Your account was registered by somebody else",
        "You signed in with Apple or Google, which proved that this address is yours. An account had been registered with it"
        " before, without proof; its password and its sessions no longer work.",
    ),
}
"""Event to headline and sentence. An event that stands here is told by mail wherever `notify` is called with it."""


def notify(letters: Letters, session: Session, event: str, email: str, now: datetime) -> None:
    """Tell the owner, if the session's transaction is committed."""
    headline, sentence = NOTICES[event]
    letters.enqueue(
        session,
        "security_notice",
        email,
        headline=headline,
        sentence=sentence,
        when=f"{now:%d %B %Y, %H:%M} UTC",
        device=printable(request.environ.get("HTTP_USER_AGENT")) if has_request_context() else None,
        base_url=letters.base_url,
    )


def tell_holder(letters: Letters, session: Session, address: str) -> None:
    """Somebody wanted to use an address that an account has: its owner, who forgot, or a stranger."""
    letters.enqueue(session, "address_in_use", address, address=address, base_url=letters.base_url)
