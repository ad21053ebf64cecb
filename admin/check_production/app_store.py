"""The App Store Server API: subscriptions can be reconciled with Apple."""

from collections.abc import Iterator
from datetime import timedelta

from payments.apple.purchase import AppleEnvironment
from payments.apple.rules import Apple
from payments.apple_validator import AppleRefusesUs, AppleUnavailable
from settings.production_check import CannotAsk, ProductionCheck, Shortcoming

NOTIFICATIONS = "/api/payments/apple/notifications"
LATELY = timedelta(hours=1)


def app_store_check(apple: Apple) -> ProductionCheck:
    return ProductionCheck("app store", "Apple accepts the In-App Purchase key.", lambda: find(apple))


def find(apple: Apple) -> Iterator[Shortcoming]:
    if apple.api is None:
        yield Shortcoming(
            "There is no In-App Purchase key: a lost notification is never noticed.",
            "Set APPLE_API_KEY_ID, APPLE_API_ISSUER_ID and APPLE_API_PRIVATE_KEY.",
            fails=False,
        )
        return
    now = apple.rules.clock()
    try:
        apple.api.notification_history(AppleEnvironment.PRODUCTION, now - LATELY, now, None)
    except AppleRefusesUs:
        yield Shortcoming(
            "Apple refuses the In-App Purchase key.",
            "Compare APPLE_API_KEY_ID, APPLE_API_ISSUER_ID, APPLE_API_PRIVATE_KEY and APPLE_BUNDLE_ID with App Store Connect.",
        )
    except AppleUnavailable:
        raise CannotAsk("The App Store cannot be reached.", "Check the firewall and Apple's system status.") from None
