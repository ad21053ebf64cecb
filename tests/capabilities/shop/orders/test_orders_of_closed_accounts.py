"""Closing an account ends its unpaid orders; deleting it keeps the rows of its orders, and nothing of the person."""

from datetime import timedelta
from uuid import UUID

from auth.accounts.purge import purge_accounts
from tests.auth.accounts_app import PASSWORD
from tests.capabilities.shop.orders.buying import SHIP_TO, Shop


def close(shop: Shop, buyer: str) -> None:
    answer = shop.call("DELETE", "/api/auth/profile", buyer, json={"password": PASSWORD})
    assert answer.status_code == 200, answer.text


def test_what_is_not_paid_is_cancelled_and_what_is_paid_is_sent(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=9)
    unpaid, begun = shop.order(buyer, (tree, 1)), shop.order(buyer, (tree, 2))
    shop.begin_payment(buyer, begun)
    paid = shop.free_order(buyer)
    close(shop, buyer)
    assert shop.release_unpaid() == 2
    rows = {
        str(row["id"]): row
        for row in shop.rows("SELECT id, status FROM shop_orders WHERE user_id = %s", paid["user_id"])
    }
    assert [rows[each["id"]]["status"] for each in (unpaid, begun, paid)] == ["cancelled", "cancelled", "confirmed"]
    assert shop.stock(tree) == 9
    assert shop.move(paid, "shipped").status_code == 200


def test_a_deleted_account_leaves_rows_that_tell_of_nobody(shop: Shop, buyer: str) -> None:
    tree = shop.product(stock_quantity=9)
    paid = shop.paid_order(buyer, (tree, 3), note="For Alice")
    shop.cancel(buyer, paid, reason="Alice moved")
    close(shop, buyer)
    over = shop.made.auth.clock() - timedelta(days=1)
    shop.rows("UPDATE users SET delete_after = %s WHERE id = %s", over, paid["user_id"])
    with shop.app.app_context():
        assert purge_accounts(shop.made.auth) == 1
    (row,) = shop.rows("SELECT * FROM shop_orders WHERE id = %s", paid["id"])
    told = {name: row[name] for name in ("user_id", "ship_to", "note", "cancel_reason")}
    assert told == dict.fromkeys(told)
    assert (row["status"], row["total_minor"], UUID(row["payment_id"])) == ("cancelled", 4250, UUID(paid["payment_id"]))
    events = shop.rows("SELECT reason FROM shop_order_events WHERE order_id = %s", paid["id"])
    assert [event["reason"] for event in events] == [None] * 3
    assert SHIP_TO["name"] not in str(row)
    shop.assert_books_agree(tree)
