"""Why an order cannot be placed or moved."""

from security.edge.problems import Problem


class ProductNotFound(Problem):
    """`errors` names the lines, each with its `product_id`."""

    status, error, title = 404, "product_not_found", "A product is not on sale"


class OutOfStock(Problem):
    """`errors` names every line that cannot be had, each with its `product_id` and how many are `available`."""

    status, error, title = 409, "out_of_stock", "There are not enough left"


class PriceChanged(Problem):
    """`errors` names the lines whose price changed just now. `prices` has all of them, and `total_minor` what the order costs."""

    status, error, title = 409, "price_changed", "The price has changed"


class CurrenciesDiffer(Problem):
    """`currencies` are those of the products."""

    status, error, title = 409, "currencies_differ", "The products have different currencies. Order them separately"


class TooManyOpenOrders(Problem):
    """`limit` says how many may be open at once."""

    status, error, title = (
        409,
        "too_many_open_orders",
        "Too many of your orders wait for payment. Pay or cancel one first",
    )


class AlreadyShipped(Problem):
    status, error, title = 409, "already_shipped", "The order has already been shipped"


class PaymentPending(Problem):
    """The bank has the payment and decides."""

    status, error, title = 409, "payment_processing", "The bank is still deciding about the payment. Try again later"


class TransitionNotAllowed(Problem):
    """`allowed` says what the order may become."""

    status, error, title = (
        409,
        "transition_not_allowed",
        "The order cannot change to this status from the one that it has",
    )


class NotPaid(Problem):
    status, error, title = 409, "not_paid", "The order is not paid"
