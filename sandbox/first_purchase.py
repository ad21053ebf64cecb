"""The commands of a first purchase, to be pasted into a shell where TOKEN is that of the new account."""

from sandbox.first_prediction import JSON_BODY, SHOW, SIGNED_IN, read_member


def first_purchase_in_an_app(base_url: str, app_store_url: str) -> str:
    """What a customer's device does at the App Store, then what the app does with what it was given."""
    bought = (
        r"{\"customer\": \"$ACCOUNT\", \"product_id\": \"com.mirroros.pro.monthly\", \"account_token\": \"$ACCOUNT\"}"
    )
    return "\n".join(
        (
            f"ACCOUNT=$(curl -sS {base_url}/api/payments/apple/account-token {SIGNED_IN} | {read_member('account_token')})",
            f'SIGNED=$(curl -sS {app_store_url}/controls/subscribe -d "{bought}" | {read_member("signed_transaction")})',
            f"{SHOW} {base_url}/api/payments/apple/validate-receipt {SIGNED_IN} {JSON_BODY}"
            r' -d "{\"receipt_data\": \"$SIGNED\"}"',
        )
    )


def first_purchase_on_the_web(base_url: str) -> str:
    """A line that answers with the address of a page to pay on."""
    plan = '{"tier": "pro", "billing_cycle": "monthly"}'
    return f"{SHOW} {base_url}/api/payments/stripe/create-checkout-session {SIGNED_IN} {JSON_BODY} -d '{plan}'"
