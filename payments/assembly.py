"""The parts of this package, put together for one application."""

from collections.abc import Sequence
from dataclasses import dataclass

from click import Command

from database.jobs import Job, JobName, Urgency
from payments.billing_rules import BillingRules
from payments.event_inbox import EventInbox
from payments.forget_billing_events import forget_billing_events
from payments.hand_over_tiers import hand_over_tiers
from payments.plans import PlanOffer
from payments.read_subscription import ManageUrls
from payments.reconcile import Reconciler, reconcile
from security.operation import Guard


@dataclass(frozen=True)
class Payments:
    """What the commands and routes of payments work with."""

    rules: BillingRules
    signed_in: Guard
    owner: Guard
    """For what even the staff must not read in the owner's place."""
    plans: Sequence[PlanOffer]
    manage_urls: ManageUrls
    inbox: EventInbox
    reconcilers: Sequence[Reconciler] = ()
    provider_jobs: Sequence[Job] = ()
    provider_commands: Sequence[Command] = ()
    """For `flask payments`."""

    @property
    def jobs(self) -> tuple[Job, ...]:
        """For the workers."""
        rules = self.rules
        return (
            *self.inbox.jobs,
            *self.provider_jobs,
            Job(
                JobName("hand_over_tiers", Urgency.PAYMENTS),
                lambda: hand_over_tiers(rules.clock, rules.announce),
                cron="* * * * *",
            ),
            Job(
                JobName("reconcile_billing", Urgency.PAYMENTS),
                lambda: reconcile(self.reconcilers, rules.clock).drift,
                cron="23 * * * *",
            ),
            Job("forget_billing_events", lambda: forget_billing_events(rules.clock()), cron="47 3 * * *"),
        )
