"""All settings of payments."""

from payments.apple.settings import AppStoreSection
from payments.billing.settings import BillingSection
from payments.stripe.settings import StripeSection


class PaymentSections(AppStoreSection, StripeSection, BillingSection):
    """Each provider is on when its key is set."""
