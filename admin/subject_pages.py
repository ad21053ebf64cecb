"""The pages on what every deployment has: accounts, what they bought, what they used, and what was done to them."""

from collections.abc import Iterable, Sequence

from admin.accounts.routes import account_pages
from admin.api_keys.routes import api_key_pages
from admin.app_settings.routes import app_setting_pages
from admin.audit_log.routes import audit_log_pages
from admin.billing_periods.routes import billing_period_pages
from admin.invites.routes import invite_pages
from admin.ledger.routes import ledger_pages
from admin.request_log.routes import request_log_pages
from admin.subscriptions.routes import payment_pages, subscription_pages
from admin.verification.routes import verification_pages
from auth.assembly import Auth
from auth.operators.accounts import SetTier
from auth.page_sessions.pages import Subject
from auth.tiers import Tier
from metering.app_settings.app_setting import AppSettings
from metering.capability import Capability
from payments.billing.rules import PeriodRules


def subject_pages(
    auth: Auth, set_tier: SetTier, on: Iterable[Capability], app_settings: AppSettings, periods: PeriodRules
) -> Sequence[Subject]:
    """`set_tier` keeps a tier that is given by hand. `on`: the capabilities that are switched on."""
    products = tuple(on)
    plans = {
        tier: {feature: limits for each in products for feature, limits in each.limits[tier].items()} for tier in Tier
    }
    features = sorted({feature for plan in plans.values() for feature in plan})
    return (
        account_pages(auth, set_tier, plans),
        verification_pages(auth),
        invite_pages(auth),
        api_key_pages(auth),
        subscription_pages(auth.clock),
        payment_pages(),
        billing_period_pages(periods),
        ledger_pages(features, auth.clock),
        request_log_pages(features, auth.clock),
        audit_log_pages(),
        app_setting_pages(app_settings, auth.clock),
    )
