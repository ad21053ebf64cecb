"""What all metered calls of voice have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from auth.principal import Caller
from auth.tiers import Tier
from capabilities.chat.voice.plan_limits import VOICE, VoiceLimits
from capabilities.chat.voice.problems import VoiceNotInTier
from database.blocking import Blocking
from metering.limits import CALL, SECONDS, Ask, Burst, Draw, Standing
from metering.metered_calls import MeteredCalls
from metering.rate_limit_headers import DAY, SECONDS_POLICY
from metering.windows import day_of
from metering.work import Allowance, Work
from providers.assembly import Providers
from security.secrets.hmac_sha256 import hmac_sha256

Plans = Mapping[Tier, VoiceLimits]


@dataclass(frozen=True)
class VoiceCalls:
    """`calls` by provider. `seconds`: the longest that a provider may take to answer, and `longest_call` a call with its settling.

    `hash_key`: the server's key of `request_data_hash`. `settlers`: threads that wait for PostgreSQL.
    """

    calls: Mapping[str, MeteredCalls]
    providers: Providers
    plans: Plans
    seconds: float
    longest_call: float
    hash_key: bytes
    settlers: Blocking

    def work(
        self, route: str, noun: str, *, asked: bytes, key: str | None = None, recorded_seconds: int | None = None
    ) -> Work:
        """`asked`: what stands for the request. `recorded_seconds`: of a recording; None for a call that has none."""

        def allowance(caller: Caller, now: datetime) -> Allowance:
            check_plan(self.plans, caller.tier)
            return self._allowance(caller.tier, now, recorded_seconds)

        return Work(
            feature=VOICE,
            noun=noun,
            route=route,
            fingerprint=hmac_sha256(self.hash_key, asked),
            idempotency_key=key,
            lease_seconds=self.longest_call,
            allowance=allowance,
        )

    def usage(self, caller: Caller) -> tuple[Ask, Standing]:
        """Today's figures, nothing taken; the second draw is that of seconds. Raises LimitsUnavailable."""
        work = self.work("", "recordings", asked=b"")
        work.allowance = lambda who, now: self._allowance(who.tier, now, 1)
        return next(iter(self.calls.values())).usage(caller, work)

    def _allowance(self, tier: Tier, now: datetime, recorded_seconds: int | None) -> Allowance:
        plan, today = self.plans[tier], day_of(now)
        draws: tuple[Draw, ...] = (Draw(DAY, VOICE, CALL, today, None),)
        if recorded_seconds is not None:
            seconds = Draw(
                SECONDS_POLICY, VOICE, SECONDS, today, plan.seconds_per_day, recorded_seconds, recorded_seconds
            )
            draws = (*draws, seconds)
        return Allowance(
            draws=draws,
            burst=Burst(plan.burst, plan.burst_seconds),
            concurrency=plan.concurrency,
            failures_per_hour=plan.failures_per_hour,
            shed_from=1.0,
        )


def check_plan(plans: Plans, tier: Tier) -> None:
    """Raises VoiceNotInTier."""
    if plans[tier].seconds_per_day == 0:
        raise VoiceNotInTier(tier, [each.value for each in Tier if plans[each].seconds_per_day != 0])
