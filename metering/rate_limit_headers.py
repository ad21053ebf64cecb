"""The header fields of metered answers, on success and on refusal alike, and the refusal itself.

`RateLimit` and `RateLimit-Policy` follow draft-ietf-httpapi-ratelimit-headers-11; `X-RateLimit-*` is for older clients.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from auth.tiers import Tier
from metering.limits import BURST, CALL, CONCURRENCY, FAILURES, Ask, PolicyState, Refusal
from metering.money import MONEY_UNIT
from security.edge.problems import Problem, retry_after

QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
DAY, TOKEN_POLICY, SECONDS_POLICY = "day", "tokens", "seconds"

METERED_HEADERS = {
    "RateLimit": "What is left under each policy: r requests, for t seconds",
    "RateLimit-Policy": "Each policy: q requests in w seconds, or q of what `qu` names",
    "X-RateLimit-Limit": "The limit of the policy with the fewest requests left",
    "X-RateLimit-Remaining": "The requests left under that policy",
    "X-RateLimit-Reset": "When that policy resets, in Unix seconds",
    "X-RateLimit-Policy": "The name of that policy",
    "Server-Timing": "Milliseconds: `upstream` for the private server, `gw` for the gateway",
    "X-Gateway-Overhead-Ms": "Milliseconds that the gateway added to the private server's time",
    "Idempotency-Replayed": "`true` when this is the stored answer to an earlier request",
}


class RateLimitExceeded(Problem):
    """A limit of the caller's plan. Nothing was consumed by asking."""

    status, error, title = 429, "rate_limit_exceeded", "You have reached a limit of your plan"
    type = QUOTA_EXCEEDED

    def __init__(self, refusal: Refusal, tier: Tier, noun: str, now: datetime) -> None:
        day = next((policy for policy in refusal.policies if policy.name == DAY), None)
        members: dict[str, object] = {"violated-policies": list(refusal.violated), "tier": tier.value}
        if day is not None:
            reset_at = now + timedelta(seconds=math.ceil(day.reset_seconds))
            members |= {
                "daily_limit": day.limit,
                "current_usage": day.limit - day.remaining,
                "reset_at": reset_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        shown = [policy for policy in refusal.policies if policy.name in refusal.violated]
        headers = rate_limit_headers(refusal.policies, now, nearest=shown) | retry_after(refusal.retry_after_seconds)
        detail = DETAILS.get(refusal.violated[0] if refusal.violated else "")
        super().__init__(None if detail is None else detail.format(noun), headers=headers, **members)


class TooManyFailures(Problem):
    """Calls that reach an upstream in vain cost the caller nothing, so only so many are made in an hour."""

    status, error, title = 429, "too_many_failures", "Too many of your requests failed this hour"
    type = QUOTA_EXCEEDED

    def __init__(self, refusal: Refusal, noun: str, now: datetime) -> None:
        (failures,) = refusal.policies
        end = now + timedelta(seconds=failures.reset_seconds)
        super().__init__(
            f"{failures.limit} {noun} failed this hour. Check what you send. You can try again at {end:%H:%M} UTC",
            headers=rate_limit_headers(refusal.policies, now) | retry_after(refusal.retry_after_seconds),
            **{"violated-policies": list(refusal.violated)},
            reset_at=f"{end:%Y-%m-%dT%H:%M:%SZ}",
        )


DETAILS = {
    DAY: "You have used all {} for this UTC day",
    TOKEN_POLICY: "Your plan does not have enough tokens left for this request",
    SECONDS_POLICY: "Your plan does not have enough seconds left today for this recording",
    BURST: "Too many {} in quick succession",
    CONCURRENCY: "Too many {} at the same time",
}


def refused(refusal: Refusal, ask: Ask, tier: Tier, noun: str, now: datetime) -> tuple[str, Problem]:
    """The policy that the caller is told of, and how. What says it in its own way comes first: waiting a moment, as after any
    other refusal, would be in vain.
    """
    if FAILURES in refusal.violated:
        return FAILURES, TooManyFailures(refusal, noun, now)
    for draw in ask.draws:
        if draw.refused is not None and draw.policy in refusal.violated:
            state = next(policy for policy in refusal.policies if policy.name == draw.policy)
            return draw.policy, draw.refused(state, now)
    return refusal.violated[0], RateLimitExceeded(refusal, tier, noun, now)


def rate_limit_headers(
    policies: Sequence[PolicyState], now: datetime, nearest: Sequence[PolicyState] = ()
) -> dict[str, str]:
    """`nearest` are the policies that `X-RateLimit-*` may speak of; by default those that count requests over time.

    An unlimited day has no policy, and so no field. Money has none either. What is not counted in requests says in what (`qu`).
    """
    if not policies:
        return {}
    limits, states = [], []
    for policy in policies:
        if policy.name == CONCURRENCY:
            limits.append(f'"{policy.name}";q={policy.limit};qu="concurrent-requests"')
            states.append(f'"{policy.name}";r={policy.remaining}')
        elif policy.unit != MONEY_UNIT:
            unit = "" if policy.unit == CALL else f';qu="{policy.unit}s"'
            limits.append(f'"{policy.name}";q={policy.limit};w={policy.window_seconds}{unit}')
            states.append(f'"{policy.name}";r={policy.remaining};t={math.ceil(policy.reset_seconds)}')
    candidates = nearest or [policy for policy in policies if policy.name != CONCURRENCY and policy.unit == CALL]
    shown = min(candidates, key=lambda policy: policy.remaining)
    return {
        "RateLimit-Policy": ", ".join(limits),
        "RateLimit": ", ".join(states),
        "X-RateLimit-Limit": str(shown.limit),
        "X-RateLimit-Remaining": str(shown.remaining),
        "X-RateLimit-Reset": str(math.ceil(now.timestamp() + shown.reset_seconds)),
        "X-RateLimit-Policy": shown.name,
    }


def timing_headers(total_ms: float, upstream_ms: float) -> dict[str, str]:
    """How long the private server took and what we added (`Server-Timing`, W3C). Milliseconds."""
    ours = max(0.0, total_ms - upstream_ms)
    return {
        "Server-Timing": f"upstream;dur={upstream_ms:.1f}, gw;dur={ours:.1f}",
        "X-Gateway-Overhead-Ms": f"{ours:.1f}",
    }
