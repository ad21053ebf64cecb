"""Sign-ins and what is done against guessing, and the e-mails that were sent."""

from prometheus_client import Counter

SECURITY_EVENTS = Counter(
    "mirroros_security_events_total",
    "Events of the audit log by name, such as refresh_token_reused or second_factor_failed",
    ("event",),
)
SIGN_INS = Counter("mirroros_sign_ins_total", "Sign-ins by what was shown first: ok or failed", ("method", "outcome"))
LOCKOUTS = Counter(
    "mirroros_lockouts_total",
    "Tries refused because an account had too many wrong ones: of a password or a second_factor",
    ("what",),
)
ADDRESS_REFUSALS = Counter(
    "mirroros_address_limit_refusals_total",
    "Tries refused because a network address, mailbox or session had too many, by the limit's name",
    ("limit",),
)
GENERAL_REFUSALS = Counter(
    "mirroros_general_limit_refusals_total", "Requests refused because a user made too many in a minute"
)
EMAILS = Counter(
    "mirroros_emails_total",
    "E-mails: sent, refused by the mail server for good, or failed and repeated later",
    ("outcome",),
)

for _method in ("password", "passkey", "apple", "google"):
    for _outcome in ("ok", "failed"):
        SIGN_INS.labels(_method, _outcome)
for _what in ("password", "second_factor"):
    LOCKOUTS.labels(_what)
for _outcome in ("sent", "refused", "failed"):
    EMAILS.labels(_outcome)


def count_event(event: str, method: str | None) -> None:
    """An event of the audit log. One in a transaction that is thrown away counts as well, as its line in the log stays too."""
    SECURITY_EVENTS.labels(event).inc()
    if method is not None and event in {"signed_in", "sign_in_failed"}:
        SIGN_INS.labels(method, "ok" if event == "signed_in" else "failed").inc()
