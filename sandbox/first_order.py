"""The commands of a first order, to be pasted into a shell where TOKEN is that of the new account."""

from sandbox.first_prediction import JSON_BODY, SHOW, SIGNED_IN, read_member

SHIP_TO = (
    r"{\"name\": \"Alice Example\", \"line1\": \"1 Sample Street\", \"city\": \"Springfield\","
    r" \"postal_code\": \"12345\", \"country\": \"US\"}"
)


def first_order(base_url: str) -> str:
    """The cheapest product is ordered, and paid with a test card of Stripe's."""
    first = """python3 -c 'import json, sys; print(json.load(sys.stdin)["products"][0]["id"])'"""
    items = r"[{\"product_id\": \"$PRODUCT\", \"quantity\": 1}]"
    order, intent, confirm = (
        f"{base_url}/api/{path}" for path in ("shop/orders", "payments/stripe/create-intent", "payments/stripe/confirm")
    )
    return "\n".join(
        (
            f'PRODUCT=$(curl -sS "{base_url}/api/shop/products?in_stock=true&sort=price&limit=1" | {first})',
            f'ORDER=$(curl -sS {order} {SIGNED_IN} {JSON_BODY} -d "{{\\"items\\": {items}, \\"ship_to\\": {SHIP_TO}}}"'
            f" | {read_member('id')})",
            f'PAYMENT=$(curl -sS {intent} {SIGNED_IN} {JSON_BODY} -d "{{\\"order_id\\": \\"$ORDER\\"}}" | {read_member("id")})',
            f"{SHOW} {confirm} {SIGNED_IN} {JSON_BODY}"
            ' -d "{\\"payment_id\\": \\"$PAYMENT\\", \\"payment_method\\": \\"pm_card_visa\\"}"',
            f"{SHOW} {order}/$ORDER {SIGNED_IN}",
        )
    )
