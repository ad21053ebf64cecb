"""Where Stripe's pages may lead back to."""

import pytest

from payments.stripe.redirects import Redirects
from security.edge.problems import ValidationFailed

REDIRECTS = Redirects("https://app.example.com", frozenset({"https://shop.example.com", "mirroros://checkout"}))


@pytest.mark.parametrize(
    "address", ["https://shop.example.com/thanks?a=1", "https://app.example.com", "mirroros://checkout/done?x=1"]
)
def test_our_apps_are_led_back_to(address: str) -> None:
    assert REDIRECTS.checked(address, "success_url") == address


@pytest.mark.parametrize(
    "address",
    [
        "mirroros://other/done",
        "mirroros:checkout",
        "mirroros://checkout@evil.example/",
        "mirrorosx://checkout",
        "javascript://checkout/%0aalert(1)",
        "http://shop.example.com/",
        "//shop.example.com",
    ],
)
def test_nobody_else_is(address: str) -> None:
    with pytest.raises(ValidationFailed):
        REDIRECTS.checked(address, "success_url")
