"""Reconciling: bounded, resumable, counted, and no provider keeps another from its turn."""

from dataclasses import dataclass, field

from payments.inbox.reconcile import MOST_STEPS, Step
from tests.metric_values import rising
from tests.payments.conftest import MakePayments


@dataclass
class Counting:
    """Counts to `end`, one at a step; every third number is drift. `breaks_at` is where the provider cannot be asked."""

    end: int
    name: str = "counting"
    breaks_at: int | None = None
    seen: list[int] = field(default_factory=list)

    def step(self, position: str | None) -> Step:
        number = int(position or 0) + 1
        if number == self.breaks_at:
            raise ConnectionError
        self.seen.append(number)
        return Step(str(number), finished=number >= self.end, checked=1, drift=int(number % 3 == 0))


def test_it_corrects_and_counts(make_payments: MakePayments) -> None:
    running = make_payments(reconcilers=(Counting(end=7),))
    assert running.cli("reconcile").output.endswith("7 checked, 2 corrected.\n")
    assert running.counted("drift:counting") == 2
    assert "drift:counting" in running.cli("counts").output


def test_a_run_is_bounded_and_the_next_one_goes_on(make_payments: MakePayments) -> None:
    counting = Counting(end=MOST_STEPS + 5)
    running = make_payments(reconcilers=(counting,))
    running.run_job("reconcile_billing")
    assert counting.seen[-1] == MOST_STEPS
    running.run_job("reconcile_billing")
    assert counting.seen == list(range(1, MOST_STEPS + 6))


def test_a_provider_that_cannot_be_asked_does_not_hold_up_the_other(make_payments: MakePayments) -> None:
    broken, other = Counting(end=9, name="broken", breaks_at=3), Counting(end=2)
    running = make_payments(reconcilers=(broken, other))
    with rising(mirroros_reconcile_failures_total={'reconciler="broken"': 1}):
        result = running.cli("reconcile")
    assert result.exit_code == 1
    assert "broken" in result.output
    assert other.seen == [1, 2]
    broken.breaks_at = None
    running.cli("reconcile")
    assert broken.seen[2] == 3
