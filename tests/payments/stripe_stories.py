"""Random stories of one user, their bank, our support and Stripe, told to us as badly as Stripe may."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from random import Random

from werkzeug.test import TestResponse

from payments.purchases.jobs import purchase_jobs
from payments.stripe.jobs import stripe_jobs
from payments.stripe_handler import StripeAddress
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.faults import Trouble
from sandbox.stripe_server.protocol.refusals import Refused
from sandbox.stripe_server.protocol.response_shapes import Object
from sandbox.stripe_server.webhooks.event_outbox import Order
from tests.payments.stripe_app import ENTERPRISE, PRO, PRO_YEARLY, RunningStripe
from tests.payments.stripe_oracle import OPEN_DISPUTE, StripesView

WORKERS = 4
LONGEST = 12
TRIES = 6
SLOW_SECONDS = 0.2
SUBSCRIBED_TO = (
    "customer.subscription.",
    "customer.deleted",
    "checkout.session.",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.voided",
    "charge.refunded",
    "charge.refund.updated",
    "refund.failed",
    "charge.dispute.",
)


class NotNow(Exception):
    """What was drawn cannot happen at this moment."""


class Story:
    def __init__(self, stripe: RunningStripe, seed: int) -> None:
        self.stripe, self.server = stripe, stripe.server
        self.random = Random(seed)
        self.user = stripe.user()
        self.view = StripesView(self.server.books, self.server.invoices, self.user)
        self.told: list[str] = []
        """What happened, for whoever reads a failure."""
        self.may_end: set[str] = set()
        self.lost = False
        """Whether anything happened that no event of ours tells."""
        self.server.outbox.wants = lambda kind: kind.startswith(SUBSCRIBED_TO)
        self.server.outbox.random = self.random
        self.workers: list[Future[None]] = []
        """Those that still work while the story goes on."""

    def play(self) -> None:
        with ThreadPoolExecutor(LONGEST) as self.background:
            self._one(Story.buy)
            for _ in range(self.random.randint(2, LONGEST)):
                self._one(*self.random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=20))
            self.settle()

    def _one(self, *drawn: "Callable[[Story], None]") -> None:
        """The first of these that can happen now, and how we hear of it."""
        for act in drawn:
            try:
                with nullcontext() if act in OF_OURS else self.server.books.lock:
                    act(self)
            except NotNow:
                continue
            how = self.random.choice(TELLINGS)
            self.told.append(f"{act.__name__} [{how}]")
            self.tell(how)
            return

    # What happens.

    def buy(self) -> None:
        if self.view.running():
            raise NotNow
        answer = self.stripe.checkout(self.user, self._tier("pro"), self._cycle())
        assert answer.status_code in {200, 409}, answer.text
        if answer.status_code == 200:
            card = self.random.choice([Card.GOOD] * 6 + [Card.BANK_DEBIT, Card.BOUNCING_DEBIT])
            self.stripe.press(answer.get_json()["checkout_url"], card.value)

    def switch_plan(self) -> None:
        self._own()
        self._asked(self.stripe.change(self.user, self._tier("enterprise"), self._cycle()))

    def switch_in_the_portal(self) -> None:
        price = self.random.choice([PRO, PRO_YEARLY, ENTERPRISE])
        own = self._own()
        if own["schedule"] or own["pending_update"] or own["status"] not in {"active", "past_due"}:
            raise NotNow
        self.server.subscriptions.switch(own, self.server.books.get("price", price))

    def cancel_here(self) -> None:
        """What nobody has paid for ends at once."""
        if (own := self._own())["status"] != "active":
            self.may_end.add(own["id"])
        self._asked(self.stripe.act(self.user, "cancel"))

    def resume(self) -> None:
        self._own()
        self._asked(self.stripe.act(self.user, "resume"))

    def cancel_in_the_portal(self) -> None:
        if (own := self._own())["schedule"]:
            raise NotNow
        self.server.subscriptions.cancel_later(own, flexible=True)

    def plan_an_end(self) -> None:
        if (own := self._own())["schedule"]:
            raise NotNow
        self.server.subscriptions.cancel_at(own, self.server.books.now() + self.random.randint(1, 80 * 24) * 3600)

    def card_breaks(self) -> None:
        self._set_card(
            self.random.choice([Card.DECLINED, Card.EXPIRED, Card.NEEDS_AUTHENTICATION, Card.BOUNCING_DEBIT])
        )

    def card_repaired(self) -> None:
        self._set_card(Card.GOOD)

    def card_will_expire(self) -> None:
        customer = self._own()["customer"]
        self.server.books.put_on_file(
            customer, Card.GOOD, self.server.books.now() + self.random.randint(1, 60) * 86_400
        )

    def a_month_passes(self) -> None:
        self._pass(days=31)

    def some_days_pass(self) -> None:
        self._pass(days=self.random.randint(1, 12), hours=self.random.randint(1, 20))

    def debit_settles(self) -> None:
        completed = self.server.books.all("checkout.session", payment_status="unpaid", status="complete")
        waiting = [each for each in completed if self._invoice_waits(each["invoice"])]
        if not waiting:
            raise NotNow
        self.server.checkout.settle(waiting[0], succeeded=self.random.random() < 0.5)

    def late_payment(self) -> None:
        """Of a bill that is still open, whatever became of its subscription."""
        bills = [
            bill
            for subscription in self.view.subscriptions()
            for bill in self.view.bills(subscription)
            if bill["status"] == "open" and not self.server.invoices.is_processing(bill)
        ]
        if not bills:
            raise NotNow
        self.server.invoices.pay(self.random.choice(bills), Card.GOOD)

    def coupon(self) -> None:
        own, duration = self._own(), self.random.choice(["once", "forever"])
        terms = self.server.coupons.add(percent_off=self.random.choice([20, 100]), duration=duration)
        self.server.subscriptions.discount(own, [terms])

    def credit(self) -> None:
        customer = self.server.books.get("customer", self._own()["customer"])
        self.server.customers.add_to_balance(customer, -self.random.choice([500, 5000]))

    def refund_the_newest(self) -> None:
        subscription = self._any()
        self._refund(self.view.payments(subscription)[:1])
        self.may_end.add(subscription["id"])

    def refund_an_old_month(self) -> None:
        self._refund(self.view.payments(self._any())[1:])

    def refund_an_upgrade(self) -> None:
        self._refund(self.view.upgrades(self._any()))

    def refund_a_part(self) -> None:
        self._refund(self.view.payments(self._any()), part=True)

    def refund_fails(self) -> None:
        done = list(self.server.books.all("refund", status="succeeded"))
        if not done:
            raise NotNow
        self.server.refunds.fail(self.random.choice(done))

    def dispute(self) -> None:
        subscription = self._any()
        charges = [each for each in self.view.payments(subscription) if not each["disputed"] and not each["refunded"]]
        if not charges or any(each["status"] in OPEN_DISPUTE for each in self.view.disputes(subscription)):
            raise NotNow
        self.server.refunds.dispute(self.random.choice(charges))

    def dispute_ends(self) -> None:
        waiting = [each for each in self.server.books.all("dispute") if each["status"] in OPEN_DISPUTE]
        if not waiting:
            raise NotNow
        outcome = self.random.choice(["won", "lost"])
        if outcome == "lost":
            self.may_end |= {each["id"] for each in self.view.subscriptions() if waiting[0] in self.view.disputes(each)}
        self.server.refunds.close(waiting[0], outcome)

    def customer_deleted(self) -> None:
        here = [each for each in self.view.customers() if not self.server.books.get("customer", each).get("deleted")]
        if not here:
            raise NotNow
        self.server.customers.delete(self.server.books.get("customer", here[0]))

    def key_switched_to_live(self) -> None:
        if self.server.books.livemode:
            raise NotNow
        self.server.switch_mode()
        handler = self.stripe.rules.handler
        handler.close()
        handler.address = StripeAddress(self.server.secret_key, self.server.url)
        self.lost = True

    def _own(self) -> Object:
        """The subscription that runs."""
        if not (running := self.view.running()):
            raise NotNow
        return running[0]

    def _any(self) -> Object:
        if not (known := self.view.subscriptions()):
            raise NotNow
        return known[0]

    def _tier(self, mostly: str) -> str:
        return self.random.choice(["pro", "enterprise", mostly, mostly])

    def _cycle(self) -> str:
        return self.random.choice(["monthly", "monthly", "yearly"])

    def _asked(self, answer: TestResponse) -> None:
        assert answer.status_code in {200, 402, 409}, answer.text

    def _set_card(self, card: Card) -> None:
        self.server.books.put_on_file(self._own()["customer"], card)

    def _invoice_waits(self, invoice_id: str) -> bool:
        return self.server.invoices.is_processing(self.server.books.get("invoice", invoice_id))

    def _pass(self, **by: float) -> None:
        """The reconciler runs every hour, so what was lost or is late is found long before days have passed."""
        self.wait()
        if self.lost or self.server.outbox.pending():
            self.reconcile()
        self.server.advance(timedelta(**by))

    def _refund(self, charges: list[Object], *, part: bool = False) -> None:
        if not (left := [each for each in charges if not each["refunded"] and not each["disputed"]]):
            raise NotNow
        charge = self.random.choice(left)
        amount = (charge["amount"] - charge["amount_refunded"]) // 2 if part else None
        try:
            self.server.refunds.refund(charge, amount)
        except Refused:
            raise NotNow from None

    # How we hear of it.

    def tell(self, how: str) -> None:
        outbox = self.server.outbox
        outbox.order = {"reversed": Order.REVERSED, "shuffled": Order.SHUFFLED}.get(how, Order.AS_IT_HAPPENED)
        outbox.copies, outbox.at_once = (2 if how == "twice" else 1), (WORKERS if how == "side by side" else 1)
        due = outbox.pending()
        if how == "later" or not due:
            return
        if how in {"some", "nothing"}:
            few = 0 if how == "nothing" else self.random.randrange(len(due))
            outbox.deliver_pending(sorted(self.random.sample(range(len(due)), few)))
            outbox.forget_pending()
            self.lost = True
        else:
            outbox.deliver_pending()
        if how == "meanwhile":
            self.server.faults.add(
                Trouble.SLOW, times=2, under="/v1/subscriptions/", verb="get", stall_seconds=SLOW_SECONDS
            )
            self.workers.append(self.background.submit(self.work))
        else:
            self.work()

    def wait(self) -> None:
        while self.workers:
            self.workers.pop().result()

    def work(self) -> None:
        """Four workers take every job, the effects' own ones too, until there is none. A job that fails is tried again."""
        failures, order = Counter[str](), Random(len(self.told))
        jobs = {
            job.name: job
            for job in (
                *stripe_jobs(self.stripe.rules),
                *purchase_jobs(self.stripe.rules),
                *self.stripe.payments.inbox.jobs,
            )
        }

        def run(name: str, arguments: dict[str, object]) -> tuple[str, dict[str, object]] | None:
            with self.stripe.app.app_context():
                try:
                    jobs[name].run(**arguments)
                except Exception:
                    failures[name] += 1
                    if failures[name] > TRIES:
                        raise
                    return name, arguments
            return None

        again: list[tuple[str, dict[str, object]]] = []
        with ThreadPoolExecutor(WORKERS) as workers:
            while taken := [*again, *self._take()]:
                order.shuffle(taken)
                again = [each for each in workers.map(lambda job: run(*job), taken) if each is not None]

    def _take(self) -> list[tuple[str, dict[str, object]]]:
        taken = self.stripe.query(
            "DELETE FROM procrastinate_jobs WHERE task_name = 'apply_billing_event' OR task_name = ANY(:names)"
            " RETURNING task_name, args",
            names=[job.name for job in (*stripe_jobs(self.stripe.rules), *purchase_jobs(self.stripe.rules))],
        )
        return [(row.task_name, row.args) for row in taken]

    def reconcile(self) -> None:
        result = self.stripe.cli("reconcile")
        assert result.exit_code == 0, result.output
        self.work()
        self.lost = False

    def settle(self) -> None:
        """Everything arrives, or the reconciler finds it. What failed is repeated by the sweeper, minutes later."""
        self.wait()
        for _ in range(TRIES):
            if self.lost:
                self.server.outbox.forget_pending()
                self.reconcile()
            self.tell(self.random.choice(["all", "shuffled", "side by side"]))
            waiting = any(row["state"] == "received" for row in self.stripe.events())
            if not waiting and not self.server.outbox.pending():
                break
            self.server.advance(timedelta(minutes=5))
            self.stripe.run_job("sweep_billing_events")
            self.work()


TELLINGS = (
    "all",
    "all",
    "reversed",
    "shuffled",
    "twice",
    "side by side",
    "side by side",
    "meanwhile",
    "meanwhile",
    "some",
    "nothing",
    "later",
)
OF_OURS = (Story.buy, Story.switch_plan, Story.cancel_here, Story.resume, Story.a_month_passes, Story.some_days_pass)
"""What our side has a part in. The rest happens at Stripe alone, at one moment."""
WEIGHTS: dict[Callable[[Story], None], int] = {
    Story.buy: 12,
    Story.switch_plan: 6,
    Story.switch_in_the_portal: 4,
    Story.cancel_here: 3,
    Story.cancel_in_the_portal: 2,
    Story.plan_an_end: 2,
    Story.resume: 3,
    Story.card_breaks: 5,
    Story.card_repaired: 4,
    Story.card_will_expire: 2,
    Story.a_month_passes: 14,
    Story.some_days_pass: 6,
    Story.debit_settles: 10,
    Story.late_payment: 14,
    Story.coupon: 3,
    Story.credit: 2,
    Story.refund_the_newest: 3,
    Story.refund_an_old_month: 10,
    Story.refund_an_upgrade: 8,
    Story.refund_a_part: 3,
    Story.refund_fails: 10,
    Story.dispute: 5,
    Story.dispute_ends: 20,
    Story.customer_deleted: 2,
    Story.key_switched_to_live: 1,
}
"""How often each is drawn. Many can happen only after others, so they are drawn more often than they should happen."""
