"""Subscription schedules: phases of one subscription, as far as a change at the end of a period needs them."""

from collections.abc import Sequence
from typing import Any

from sandbox.stripe_server.billing.subscriptions import Subscriptions, item_of
from sandbox.stripe_server.books import Books, Call, Handlers
from sandbox.stripe_server.products.catalogue import Catalogue, after_interval
from sandbox.stripe_server.protocol.refusals import WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, part


class Schedules:
    def __init__(self, books: Books, catalogue: Catalogue, subscriptions: Subscriptions) -> None:
        self._books = books
        self._catalogue = catalogue
        self._subscriptions = subscriptions

    def handlers(self) -> Handlers:
        one = "/v1/subscription_schedules/{schedule}"
        return {
            ("post", "/v1/subscription_schedules"): self._create,
            ("get", one): lambda call: self._books.get("subscription_schedule", call.arguments[0]),
            ("post", one): self._update,
            ("post", one + "/release"): self._release,
            ("get", "/v1/subscription_schedules"): self._list,
        }

    def release(self, schedule: Object) -> None:
        """The subscription goes on as it is."""
        subscription = self._books.get("subscription", schedule["subscription"])
        schedule.update(
            status="released",
            released_at=self._books.now(),
            released_subscription=subscription["id"],
            subscription=None,
            current_phase=None,
        )
        self._books.announce("subscription_schedule.released", schedule)
        self._subscriptions.change(subscription, schedule=None)

    def _create(self, call: Call) -> Object:
        call.imitated("from_subscription", "metadata")
        if "from_subscription" not in call.params:
            raise WrongParameter("Missing required param: from_subscription.", param="from_subscription")
        subscription = self._subscriptions.running(call.params["from_subscription"])
        if subscription["schedule"]:
            raise WrongParameter("The subscription is already attached to a schedule.", param="from_subscription")
        item = item_of(subscription)
        start, end = item["current_period_start"], item["current_period_end"]
        schedule = self._books.keep(
            "subscription_schedule",
            "sub_sched",
            billing_mode=part("subscription_schedule", "BillingMode", type="flexible"),
            current_phase={"start_date": start, "end_date": end},
            customer=subscription["customer"],
            default_settings=part(
                "subscription_schedule",
                "DefaultSettings",
                billing_cycle_anchor="automatic",
                invoice_settings={"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
            ),
            end_behavior="release",
            metadata=dict(call.params.get("metadata", {})),
            pause_schedules=[],
            phases=[self._phase(item["price"], item["quantity"], start, end)],
            status="active",
            subscription=subscription["id"],
        )
        self._books.announce("subscription_schedule.created", schedule)
        self._subscriptions.change(subscription, schedule=schedule["id"])
        return schedule

    def _update(self, call: Call) -> Object:
        call.imitated("phases", "end_behavior", "metadata", "proration_behavior")
        schedule = self._books.get("subscription_schedule", call.arguments[0])
        if schedule["status"] != "active":
            raise WrongParameter(f"You cannot update a schedule that is {schedule['status']}.")
        if "phases" in call.params:
            schedule["phases"] = self._phases(schedule, call.params["phases"])
        schedule["end_behavior"] = call.params.get("end_behavior", schedule["end_behavior"])
        if schedule["end_behavior"] not in {"release", "cancel"}:
            raise WrongParameter("end_behavior must be release or cancel", param="end_behavior")
        self._books.announce("subscription_schedule.updated", schedule)
        return schedule

    def _phases(self, schedule: Object, given: Sequence[Any]) -> list[Object]:
        phases: list[Object] = []
        for number, each in enumerate(given):
            where = f"phases[{number}]"
            if alien := each.keys() - {"items", "start_date", "end_date", "duration", "proration_behavior", "metadata"}:
                raise WrongParameter(
                    f"{where}[{sorted(alien)[0]}] is not imitated", param=f"{where}[{sorted(alien)[0]}]"
                )
            price = self._catalogue.sold(each["items"][0]["price"], f"{where}[items][0][price]")
            start = each.get("start_date", phases[-1]["end_date"] if phases else None)
            if number == 0 and start != schedule["current_phase"]["start_date"]:
                raise WrongParameter("The start of the current phase cannot be changed.", param=f"{where}[start_date]")
            if phases and start != phases[-1]["end_date"]:
                raise WrongParameter("Phases must follow each other without a gap.", param=f"{where}[start_date]")
            duration = each.get("duration")
            if "end_date" not in each and duration is None:
                raise WrongParameter("A phase needs an end_date or a duration.", param=where)
            end = each.get("end_date") or after_interval(start, {"recurring": {"interval_count": 1, **duration}})
            if not isinstance(end, int) or end <= start:
                raise WrongParameter("A phase must end after its start.", param=f"{where}[end_date]")
            phases.append(self._phase(price, each["items"][0].get("quantity", 1), start, end))
        return phases

    def _phase(self, price: Object, quantity: int, start: int, end: int) -> Object:
        item = part(
            "subscription_schedule",
            "Phase.Item",
            discounts=[],
            plan=price["id"],
            price=price["id"],
            quantity=quantity,
            metadata={},
        )
        return part(
            "subscription_schedule",
            "Phase",
            add_invoice_items=[],
            currency=price["currency"],
            discounts=[],
            items=[item],
            metadata={},
            proration_behavior="create_prorations",
            start_date=start,
            end_date=end,
        )

    def _release(self, call: Call) -> Object:
        call.imitated("preserve_cancel_date")
        schedule = self._books.get("subscription_schedule", call.arguments[0])
        if schedule["status"] not in {"active", "not_started"}:
            raise WrongParameter(f"You cannot release a schedule that is {schedule['status']}.")
        self.release(schedule)
        return schedule

    def _list(self, call: Call) -> Object:
        call.imitated("customer", "limit", "starting_after", "ending_before", "created")
        equal = self._books.named(call, "customer")
        return self._books.page(call, self._books.all("subscription_schedule", **equal))
