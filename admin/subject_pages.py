"""The pages on what every deployment has: accounts, what they bought, what they used, and what was done to them."""

from collections.abc import Iterable, Sequence

from admin.accounts.routes import account_pages
from admin.audit_log.routes import audit_log_pages
from admin.ledger.routes import ledger_pages
from admin.request_log.routes import request_log_pages
from admin.subscriptions.routes import payment_pages, subscription_pages
from auth.assembly import Auth
from auth.operators.accounts import SetTier
from auth.page_sessions.pages import Subject
from auth.tiers import Tier
from metering.capability import Capability


def subject_pages(auth: Auth, set_tier: SetTier, on: Iterable[Capability]) -> Sequence[Subject]:
    """`set_tier` keeps a tier that is given by hand. `on`: the capabilities that are switched on."""
    products = tuple(on)
    plans = {
        tier: {feature: limits for each in products for feature, limits in each.limits[tier].items()} for tier in Tier
    }
    features = sorted({feature for plan in plans.values() for feature in plan})
    return (
        account_pages(auth, set_tier, plans),
        subscription_pages(auth.clock),
        payment_pages(),
        ledger_pages(features, auth.clock),
        request_log_pages(features, auth.clock),
        audit_log_pages(),
    )
