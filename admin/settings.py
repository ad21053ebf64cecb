"""The settings that this package reads."""

from auth.settings import AuthSections
from metering.settings import MeteringSection
from payments.settings import PaymentSections
from settings.database import DatabaseSection
from settings.metrics import MetricsSection


class AdminSections(PaymentSections, MeteringSection, AuthSections, MetricsSection, DatabaseSection):
    """Of all that stands below it, without those of capabilities."""
