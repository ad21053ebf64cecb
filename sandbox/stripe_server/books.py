"""Everything that the stand-in knows: Stripe's objects by their ids, in the shape in which they are sent."""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from threading import RLock
from typing import Any

from sandbox.store_clock import StoreClock
from sandbox.stripe_server.protocol.refusals import NoSuchObject, NotImitated, WrongParameter
from sandbox.stripe_server.protocol.response_shapes import Object, fields_of, shaped

LARGEST_PAGE = 100
USUAL_PAGE = 10
SAVED = ("objects", "cards", "expiries", "bounces", "wanted")


class Card(StrEnum):
    """How the customer pays, and what becomes of it.

    Whether a bank debit worked is known only when somebody says so; a bouncing one fails by itself some days later.
    """

    GOOD = "good"
    DECLINED = "declined"
    EXPIRED = "expired"
    NEEDS_AUTHENTICATION = "needs_authentication"
    BANK_DEBIT = "bank_debit"
    BOUNCING_DEBIT = "bouncing_debit"


@dataclass(frozen=True)
class Call:
    """One request that was found valid."""

    verb: str
    path: str
    arguments: tuple[str, ...]
    params: Mapping[str, Any]

    def imitated(self, *names: str) -> None:
        """Raises NotImitated when a parameter has an effect that this stand-in does not know."""
        unknown = self.params.keys() - set(names) - {"expand"}
        if unknown:
            raise NotImitated(self.verb, f"{self.path} with {', '.join(sorted(unknown))}")


Handler = Callable[[Call], Object]
Handlers = dict[tuple[str, str], Handler]
Listener = Callable[[Object], None]


@dataclass
class Books:
    clock: StoreClock
    livemode: bool
    api_version: str
    objects: dict[str, Object] = field(default_factory=dict)
    cards: dict[str, Card] = field(default_factory=dict)
    """The card on file of each customer."""
    expiries: dict[str, int] = field(default_factory=dict)
    """When the card of a customer expires, if it does."""
    bounces: dict[str, int] = field(default_factory=dict)
    """When the bank will return the debit of a payment intent."""
    wanted: dict[str, Object] = field(default_factory=dict)
    """What each checkout session will sell: Stripe does not send all of it back."""
    lock: RLock = field(default_factory=RLock)
    hear: Listener = field(default=lambda event: None)
    """Is told every event."""
    of_other_mode: set[str] = field(default_factory=set)
    """The ids of what was there before the mode was switched."""
    includers: dict[tuple[str, str], Handler] = field(default_factory=dict)

    def saved(self) -> str:
        """The books as a text that `load` reads."""
        with self.lock:
            return json.dumps({name: getattr(self, name) for name in SAVED})

    def load(self, text: str) -> None:
        saved = json.loads(text)
        with self.lock:
            for name in SAVED:
                getattr(self, name).update(saved.get(name, {}))
            self.cards.update({customer: Card(card) for customer, card in self.cards.items()})

    def switch_mode(self, livemode: bool) -> None:
        """The objects of the other mode, which knows nothing of this one. Products and prices have been copied there."""
        copied = {name: each for name, each in self.objects.items() if each["object"] in {"product", "price"}}
        self.of_other_mode |= self.objects.keys() - copied.keys()
        for name in SAVED:
            getattr(self, name).clear()
        self.livemode = livemode
        self.objects.update({name: {**each, "livemode": livemode} for name, each in copied.items()})

    def now(self) -> int:
        return int(self.clock().timestamp())

    def card_of(self, customer: str, otherwise: Card) -> Card:
        """The card on file, or `otherwise` for a customer without one."""
        expires_at = self.expiries.get(customer)
        if expires_at is not None and expires_at <= self.now():
            return Card.EXPIRED
        return self.cards.get(customer, otherwise)

    def put_on_file(self, customer: str, card: Card, expires_at: int | None = None) -> None:
        self.cards[customer] = card
        self.expiries.pop(customer, None)
        if expires_at is not None:
            self.expiries[customer] = expires_at

    def new_id(self, prefix: str) -> str:
        # Ids are sorted by time inside one prefix, as lists are newest first also within one second.
        return f"{prefix}_{time.time_ns():x}{secrets.token_hex(4)}"

    def keep(self, kind: str, prefix: str, **values: Any) -> Object:
        """A new object. `id`, `created` and `livemode` are made up unless they are given or the kind lacks them."""
        defaults: Object = {"id": self.new_id(prefix), "created": self.now(), "livemode": self.livemode}
        known = fields_of(kind)
        made = shaped(kind, **{name: value for name, value in defaults.items() if name in known} | values)
        self.objects[made["id"]] = made
        return made

    def get(self, kind: str, object_id: str, param: str = "id") -> Object:
        found = self.objects.get(object_id)
        if found is None or found["object"] != kind:
            there, here = ("test", "live") if self.livemode else ("live", "test")
            hint = f"; a similar object exists in {there} mode, but a {here} mode key was used to make this request."
            raise NoSuchObject(kind, object_id, param, hint if object_id in self.of_other_mode else "")
        return found

    def all(self, kind: str, **equal: Any) -> Iterator[Object]:
        """Newest first."""
        for each in reversed(list(self.objects.values())):
            if each["object"] == kind and all(each.get(name) == value for name, value in equal.items()):
                yield each

    def announce(self, kind: str, what: Object, before: Object | None = None) -> Object:
        """An event with the object as it is now. `before` is a copy of how it was."""
        data: Object = {"object": deepcopy(what)}
        if before is not None:
            data["previous_attributes"] = {name: value for name, value in before.items() if what.get(name) != value}
        event = self.keep(
            "event",
            "evt",
            type=kind,
            data=data,
            api_version=self.api_version,
            pending_webhooks=1,
            request={"id": self.new_id("req"), "idempotency_key": None},
        )
        self.hear(event)
        return event

    def named(self, call: Call, *names: str) -> Object:
        """The request's filters that ask for equality. Raises NoSuchObject for a customer that never was."""
        given = {name: call.params[name] for name in names if name in call.params}
        if "customer" in given:
            self.get("customer", given["customer"], "customer")
        return given

    def page(self, call: Call, objects: Iterable[Object]) -> Object:
        """A list as Stripe gives it: `limit` objects after or before a given one."""
        chosen = [each for each in objects if fits(each, call.params)]
        limit = call.params.get("limit", USUAL_PAGE)
        if not 1 <= limit <= LARGEST_PAGE:
            raise WrongParameter("Invalid limit: must be from 1 to 100", param="limit")
        ids = [each["id"] for each in chosen]
        if (after := call.params.get("starting_after")) is not None:
            if after not in ids:
                raise NoSuchObject("object", after, "starting_after")
            chosen = chosen[ids.index(after) + 1 :]
        elif (before := call.params.get("ending_before")) is not None:
            if before not in ids:
                raise NoSuchObject("object", before, "ending_before")
            chosen = chosen[max(0, ids.index(before) - limit) : ids.index(before)]
        return {"object": "list", "url": call.path, "has_more": len(chosen) > limit, "data": chosen[:limit]}

    def rendered(self, answer: Object, expand: Iterable[str] = ()) -> Object:
        """A copy to send, with the ids at the `expand` paths replaced by their objects."""
        copy = deepcopy(answer)
        for path in expand:
            self._expand(copy, path.split("."), path)
        return copy

    def _expand(self, at: Any, steps: list[str], path: str) -> None:
        if isinstance(at, list):
            for each in at:
                self._expand(each, steps, path)
            return
        if at is None or not steps:
            return
        step, rest = steps[0], steps[1:]
        if not isinstance(at, dict) or (step not in at and (at.get("object"), step) not in self.includers):
            raise WrongParameter(f"This property cannot be expanded ({path}).", param="expand")
        if (at.get("object"), step) in self.includers and at.get(step) is None:
            list_call = Call("get", f"/v1/{step}", (at["id"],), {"limit": LARGEST_PAGE})
            at[step] = deepcopy(self.includers[at["object"], step](list_call))
        value = at[step]
        if isinstance(value, str) and value in self.objects:
            at[step] = value = deepcopy(self.objects[value])
        elif isinstance(value, list):
            at[step] = value = [
                deepcopy(self.objects.get(each, each)) if isinstance(each, str) else each for each in value
            ]
        elif isinstance(value, str):
            raise WrongParameter(f"This property cannot be expanded ({path}).", param="expand")
        self._expand(value, rest, path)


def fits(candidate: Object, params: Mapping[str, Any]) -> bool:
    """Whether an object passes the `created` filter of a list."""
    created = params.get("created")
    if created is None:
        return True
    if isinstance(created, int):
        return bool(candidate["created"] == created)
    at = candidate["created"]
    return bool(
        at > created.get("gt", -1)
        and at >= created.get("gte", 0)
        and at < created.get("lt", at + 1)
        and at <= created.get("lte", at)
    )


def merged_metadata(old: Mapping[str, str], new: Mapping[str, str] | str | None) -> dict[str, str]:
    """An empty value removes a key, and an empty text in place of the mapping removes all."""
    if new == "":
        return {}
    merged = {**old, **(new if isinstance(new, Mapping) else {})}
    return {name: value for name, value in merged.items() if value != ""}
