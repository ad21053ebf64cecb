"""What the shop's settings accept, and what a server with a shop refuses to start with."""

import pytest

from config import SettingsInvalid, load_settings
from tests.whole.environment import EVERYTHING, production_environment


def refusal(**changes: str) -> str:
    environ = production_environment("postgresql://mirroros@127.0.0.1:1/mirroros", "https://predict.example.com")
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({**environ, **EVERYTHING, **changes})
    (told,) = refused.value.problems
    return told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"STRIPE_SECRET_KEY": "", "STRIPE_WEBHOOK_SECRET": "", "STRIPE_PRICES": ""}, "STRIPE_SECRET_KEY must be set"),
        ({"SHOP_CURRENCY": "USD"}, "SHOP_CURRENCY "),
        ({"SHOP_RESERVATION_MINUTES": "4"}, "SHOP_RESERVATION_MINUTES "),
        ({"SHOP_RESERVATION_MINUTES": "1441"}, "SHOP_RESERVATION_MINUTES "),
        ({"SHOP_MAX_OPEN_ORDERS": "0"}, "SHOP_MAX_OPEN_ORDERS "),
        ({"SHOP_MAX_OPEN_ORDERS": "101"}, "SHOP_MAX_OPEN_ORDERS "),
        ({"SHOP_SHIPPING_MINOR": "-1"}, "SHOP_SHIPPING_MINOR "),
        ({"SHOP_NOTIFY_EMAIL": "sales"}, "SHOP_NOTIFY_EMAIL must be an e-mail address"),
        ({"SHOP_ORDER_URL": "orders"}, "SHOP_ORDER_URL must be a URL"),
        ({"SHOP_ORDER_URL": "http://shop.example.com/orders"}, "SHOP_ORDER_URL must begin with https://"),
    ],
)
def test_what_cannot_work_stops_the_start_with_its_name(changes: dict[str, str], told: str) -> None:
    assert refusal(**changes).startswith(told)
