"""The search terms of Get Transaction History."""

from collections.abc import Mapping, Sequence

from sandbox.apple_server.server_api_errors import ApiError, RequestRefused
from sandbox.apple_server.subscriptions import Transaction
from sandbox.store_clock import milliseconds

SUBSCRIPTION_TYPE = "AUTO_RENEWABLE"
Query = Mapping[str, list[str]]


def matching_transactions(transactions: Sequence[Transaction], query: Query) -> list[Transaction]:
    """In order of their last change, the oldest first unless `sort=DESCENDING`. Raises RequestRefused."""
    begins = moment(query, "startDate", ApiError.INVALID_START_DATE)
    ends = moment(query, "endDate", ApiError.INVALID_END_DATE)
    sort = query.get("sort", ["ASCENDING"])[0]
    if sort not in {"ASCENDING", "DESCENDING"}:
        raise RequestRefused(ApiError.INVALID_SORT)
    found = [
        transaction
        for transaction in transactions
        if allows(query, "productId", transaction.product.product_id)
        and allows(query, "productType", SUBSCRIPTION_TYPE)
        and allows(query, "subscriptionGroupIdentifier", transaction.product.group)
        and allows(query, "inAppOwnershipType", transaction.ownership.value)
        and allows(query, "revoked", str(transaction.revocation is not None).lower())
        and (begins is None or begins <= milliseconds(transaction.purchased_at))
        and (ends is None or milliseconds(transaction.purchased_at) < ends)
    ]
    return sorted(found, key=lambda transaction: transaction.modified_at, reverse=sort == "DESCENDING")


def allows(query: Query, name: str, value: str) -> bool:
    """No term means everything. Apple's Python library writes booleans as `True`."""
    terms = query.get(name)
    return not terms or value.lower() in {term.lower() for term in terms}


def moment(query: Query, name: str, invalid: ApiError) -> int | None:
    text = query.get(name, [None])[0]
    if text is None:
        return None
    if not text.isdecimal():
        raise RequestRefused(invalid)
    return int(text)
