"""Notices of security events: the owner of an account learns of what was done with it."""

from datetime import datetime

from flask import has_request_context, request
from sqlalchemy.orm import Session

from auth.mail.letters import Letters
from auth.open_session import printable

NOTICES = {
    "refresh_token_reused": (
        "A session was ended to protect you",
        "A sign-in of your account was used in two places at once. That can mean that somebody copied it, so we ended it.",
    ),
    "password_reset": (
        "Your password was reset",
        "A new password was set with a letter to this address. Every session was ended.",
    ),
    "many_wrong_passwords": (
        "Somebody is guessing your password",
        "Ten wrong passwords in a row were tried on your account. We slow such tries down; your own devices keep working.",
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
