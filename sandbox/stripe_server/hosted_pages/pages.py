"""The two pages that customers see, as plain HTML without a script or an outside address."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from sandbox.http_listener import Reply
from sandbox.stripe_server.billing.subscriptions import item_of
from sandbox.stripe_server.books import Card
from sandbox.stripe_server.protocol.response_shapes import Object

STYLE = """
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; background: #f6f8fa; color: #1a1f36; }
main { max-width: 30rem; margin: 8vh auto; padding: 2rem; background: #fff; border: 1px solid #d5dbe1; border-radius: 12px; }
h1, p, button { text-wrap: balance; }
h1 { margin: 0 0 .25rem; font-size: 1.4rem; }
h2 { margin: 1.75rem 0 .5rem; font-size: 1.05rem; }
p { margin: .5rem 0; }
.price { font-size: 2rem; font-weight: 600; }
.quiet { color: #4f566b; font-size: .9rem; }
.alert { padding: .75rem 1rem; border-left: 4px solid #b3093c; background: #fdf2f5; color: #7d0a2c; }
button, .link { display: block; width: 100%; margin: .5rem 0; padding: .7rem; border: 1px solid #c1c9d2; border-radius: 8px;
  background: #fff; color: #1a1f36; font: inherit; text-align: center; text-decoration: none; cursor: pointer; }
button.main { background: #5433d9; border-color: #5433d9; color: #fff; font-weight: 600; }
.back { margin-top: 1.75rem; border-color: transparent; text-decoration: underline; }
button:hover, .link:hover { border-color: #5433d9; }
:focus-visible { outline: 3px solid #5433d9; outline-offset: 2px; }
@media (prefers-color-scheme: dark) {
  body { background: #10131c; color: #e6e9f0; }
  main, button, .link { background: #1a1f2e; color: #e6e9f0; border-color: #3a4258; }
  .back { border-color: transparent; }
  .quiet { color: #a9b1c6; }
  .alert { background: #3a1622; color: #ffc9d6; }
  button.main { background: #6d4aff; border-color: #6d4aff; color: #fff; }
}
@media (max-width: 32rem) {
  body { background: #fff; }
  main { margin: 0; padding: 1.25rem; border: 0; border-radius: 0; }
}
@media (max-width: 32rem) and (prefers-color-scheme: dark) { body { background: #1a1f2e; } }
"""
PAYMENT_BUTTONS = (
    (Card.GOOD, "Pay with a good card", "main"),
    (Card.DECLINED, "Pay with a card that is declined", ""),
    (Card.NEEDS_AUTHENTICATION, "Pay with a card that needs 3-D Secure", ""),
    (Card.EXPIRED, "Pay with a card that has expired", ""),
    (Card.BANK_DEBIT, "Pay by bank debit, known only later", ""),
    (Card.BOUNCING_DEBIT, "Pay by bank debit that is returned after four days", ""),
)
BANK_DEBITS = frozenset({Card.BANK_DEBIT, Card.BOUNCING_DEBIT})
PORTAL_CARDS = {Card.GOOD: "good card", Card.DECLINED: "card that is declined"}


def checkout_page(session: Object, product: Object, price: Object, trial_days: int | None, problem: str = "") -> Reply:
    recurring = price["recurring"]
    interval = recurring["interval"] if recurring else ""
    trial = f"<p>{trial_days} days free, then {money(price)} a {interval}.</p>" if trial_days else ""
    alert = f'<p class="alert" role="alert">{escape(problem)}</p>' if problem else ""
    cards = PAYMENT_BUTTONS if recurring else [each for each in PAYMENT_BUTTONS if each[0] not in BANK_DEBITS]
    buttons = "".join(button(card.value, label, style) for card, label, style in cards)
    if trial_days and session["payment_method_collection"] == "if_required":
        buttons += button("no_card", "Begin the trial without a card")
    cancel = button("cancel", "Back, without buying", "back") if session["cancel_url"] else ""
    length = f' <span class="quiet">a {interval}</span>' if recurring else ""
    return page(
        f"Subscribe to {product['name']}" if recurring else f"Pay: {product['name']}",
        f'<p class="price">{money(price)}{length}</p>{trial}{alert}'
        f'<form method="post"><h2>How would you like to pay?</h2>{buttons}{cancel}</form>',
    )


def authentication_page() -> Reply:
    return page(
        "Your bank asks for confirmation",
        '<p>3-D Secure: only the cardholder can go on.</p><form method="post">'
        + button("authenticated", "Confirm the payment", "main")
        + button("not_authenticated", "Fail to confirm it")
        + "</form>",
    )


def portal_page(
    session: Object, subscriptions: Sequence[Object], prices: Sequence[tuple[Object, Object]], card: Card | None
) -> Reply:
    """`prices` are pairs of a price and its product, `card` is the one on file."""
    names = {
        price["id"]: f"{product['name']}, {money(price)} a {price['recurring']['interval']}"
        for price, product in sorted(prices, key=lambda each: int(each[0]["unit_amount"]))
    }
    sections = "".join(subscription_section(each, names) for each in subscriptions)
    cards = "".join(button(each.value, f"Use a {label}") for each, label in PORTAL_CARDS.items() if each is not card)
    on_file = (
        f'<p class="quiet">On file: a {PORTAL_CARDS.get(card, "payment method of another kind")}.</p>' if card else ""
    )
    address = session["return_url"]
    back = f'<a class="link back" href="{escape(address)}">Back to the app</a>' if address else ""
    return page(
        "Your subscription",
        (sections or "<p>There is no running subscription.</p>")
        + f'<form method="post"><h2>Payment method</h2>{on_file}{cards}</form>{back}',
    )


def subscription_section(subscription: Object, names: dict[str, str]) -> str:
    item = item_of(subscription)
    price_id = item["price"]["id"]
    ends = subscription["cancel_at"]
    when = day(ends or item["current_period_end"])
    state = f"Ends on {when}." if ends else f"Renews on {when}."
    hidden = f'<input type="hidden" name="subscription" value="{escape(subscription["id"])}">'
    change = (
        button("resume", "Keep the subscription", "main")
        if ends
        else button("cancel", "Cancel at the end of the period")
    )
    switches = "".join(
        f'<form method="post">{hidden}<input type="hidden" name="price" value="{escape(other)}">'
        f'{button("switch", f"Switch to {name}")}</form>'
        for other, name in names.items()
        if other != price_id
    )
    title = escape(names.get(price_id, price_id))
    status = subscription["status"].replace("_", " ").capitalize()
    return (
        f'<section><h2>{title}</h2><p class="quiet">{escape(status)}. {state}</p>'
        f'<form method="post">{hidden}{change}</form>{switches}</section>'
    )


def closed_page(title: str, sentence: str) -> Reply:
    return page(title, f"<p>{escape(sentence)}</p>", status=410)


def button(value: str, label: str, style: str = "") -> str:
    style = f' class="{style}"' if style else ""
    return f'<button name="action" value="{escape(value)}"{style}>{escape(label)}</button>'


def money(price: Object) -> str:
    return f"{price['unit_amount'] / 100:.2f} {price['currency'].upper()}"


def day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %B %Y").lstrip("0")


def page(title: str, content: str, *, status: int = 200) -> Reply:
    head = (
        f'<meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style>'
    )
    notice = '<p class="quiet">Stand-in for Stripe: nobody is charged.</p>'
    main = f"<main>{notice}<h1>{escape(title)}</h1>{content}</main>"
    html = f'<!doctype html><html lang="en"><head>{head}</head><body>{main}</body></html>'
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
    return Reply(status, html, headers, media_type="text/html; charset=utf-8")


def redirect(address: str) -> Reply:
    return Reply(303, "", {"Location": address})
