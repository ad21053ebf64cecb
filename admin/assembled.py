"""What an application is made of, for whoever watches and operates it."""

from collections.abc import Mapping
from dataclasses import dataclass

from auth.assembly import Auth
from database.jobs.declare import Jobs
from metering.assembly import Metering
from metering.capability import Capability
from metering.parts import Built
from payments.assembly import Payments
from security.health.check import HealthCheck

ASSEMBLED = "assembled"


@dataclass(frozen=True)
class Assembled:
    """`app.extensions[ASSEMBLED]`."""

    auth: Auth
    metering: Metering
    payments: Payments
    built: Mapping[Capability, Built]
    jobs: Jobs
    health: HealthCheck
