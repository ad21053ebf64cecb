"""`/admin/products`."""

from auth.principal import Role
from tests.admin.dashboard import Dashboard, text_of
from tests.admin.shop_orders import add_product, place


def stock(dashboard: Dashboard, product: str) -> tuple[int, int]:
    """What it says, and what its movements add up to."""
    ((says, moved),) = dashboard.query(
        """SELECT stock_quantity, (SELECT sum(delta) FROM stock_movements WHERE product_id = product.id)
           FROM shop_products AS product WHERE id = :id""",
        id=product,
    )
    return says, moved


def test_products_are_listed_with_their_stock_and_found(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    juniper = add_product(dashboard, admin, sku="JUN-1", category="Outdoor")
    ficus = add_product(dashboard, admin, "Ficus <b>", 0, is_active=False)
    page = admin.get("/admin/products")
    shown = text_of(page)
    for said in ("Juniper JUN-1 Outdoor 12.50 USD 10 on sale", "Ficus <b>", "sold out", "withdrawn"):
        assert said in shown
    assert "Ficus <b>" not in page.text
    for query, found in (("q=juniper", juniper), ("in_stock=false", ficus), ("category=Outdoor", juniper)):
        listed = admin.get(f"/admin/products?{query}").text
        assert [f"/admin/products/{each}" in listed for each in (juniper, ficus)] == [
            found == juniper,
            found == ficus,
        ], query


def test_a_product_shows_every_movement_with_its_order_and_who_did_it(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    product = add_product(dashboard, admin)
    order = place(dashboard, dashboard.staff(Role.USER), product, 3)
    shown = text_of(admin.get(f"/admin/products/{product}"))
    assert "Stock 7 without what orders hold" in shown
    assert f"-3 ordered {order['number']}" in shown
    assert f"+10 first stock \N{EN DASH} {admin.email}" in shown


def test_a_stock_take_sets_the_stock(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    product = add_product(dashboard, admin)
    done = admin.post(f"/admin/products/{product}/count", {"stock_quantity": "4"})
    assert (done.status_code, done.headers["Location"]) == (303, f"/admin/products/{product}?done=counted")
    assert stock(dashboard, product) == (4, 4)
    assert f"-6 stock-take \N{EN DASH} {admin.email}" in text_of(admin.get(f"/admin/products/{product}"))


def test_pieces_are_added_and_taken_away_but_not_below_zero(dashboard: Dashboard) -> None:
    admin = dashboard.staff()
    product = add_product(dashboard, admin)
    path = f"/admin/products/{product}/adjust"
    assert admin.post(path, {"delta": "5"}).status_code == 303
    assert admin.post(path, {"delta": "-3"}).status_code == 303
    assert stock(dashboard, product) == (12, 12)
    refused = admin.post(path, {"delta": "-13"})
    assert (refused.status_code, "There are not that many left" in text_of(refused)) == (409, True)
    for delta in ("0", "1.5", "many", ""):
        assert admin.post(path, {"delta": delta}).status_code == 422
    assert stock(dashboard, product) == (12, 12)
