"""What the metrics of this process rose by."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import REGISTRY


def values() -> dict[str, float]:
    """By `name{label="value",…}` as Prometheus writes it, with the labels in the order of their definition."""
    found: dict[str, float] = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


@contextmanager
def rising(**amounts: Mapping[str, float]) -> Iterator[None]:
    """Meanwhile these metrics rise by just this much: `mirroros_emails_total={'outcome="sent"': 1}`; all others of the name stay."""
    before = values()
    yield
    after = values()
    for name, expected in amounts.items():
        of_name = {each.partition("{")[2].rstrip("}"): each for each in after if each.partition("{")[0] == name}
        rose = {labels: after[each] - before.get(each, 0) for labels, each in of_name.items()}
        assert {labels: amount for labels, amount in rose.items() if amount} == expected, name
