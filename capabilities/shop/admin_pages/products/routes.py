"""`/admin/products`: what is for sale, and its stock."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Engine

from auth.page_sessions.guards import PageGuards
from auth.page_sessions.pages import SHOWS, SitePages, act_with_form, see_other, show
from auth.page_sessions.site import ADMIN
from auth.principal import Principal, Role
from capabilities.shop.admin_pages.products.bodies import AdjustForm, CountForm, ProductPageQuery, ProductsPageQuery
from capabilities.shop.admin_pages.products.read import read_movements
from capabilities.shop.models import MovementKind
from capabilities.shop.move_stock import StockWouldBeNegative
from capabilities.shop.products.bodies import ProductAnswer
from capabilities.shop.products.list_products import list_products
from capabilities.shop.products.replace_product import hold_product, set_stock
from capabilities.shop.products.show import read_product
from capabilities.shop.rules import ShopRules
from database import transaction
from security.api.operation import Answer, operation
from security.api.request_bodies import Form
from security.edge.problems import NotFound, ValidationFailed

NAME: Final = "products"
PATH: Final = f"{ADMIN.root}/{NAME}"
WHY: Final[Mapping[MovementKind, str]] = MappingProxyType(
    {
        MovementKind.INITIAL: "first stock",
        MovementKind.ADJUST: "added or taken away",
        MovementKind.COUNT: "stock-take",
        MovementKind.RESERVE: "ordered",
        MovementKind.RELEASE: "order cancelled",
        MovementKind.RETURN: "came back",
    }
)


def product_pages(rules: ShopRules, engine: Engine, guards: PageGuards) -> SitePages:
    pages = SitePages(ADMIN, NAME, __name__, done={"counted": "The stock is set.", "adjusted": "The stock is changed."})

    def product_of(product_id: UUID) -> ProductAnswer:
        return ProductAnswer.model_validate_json(read_product(engine, product_id, also_inactive=True))

    @operation(
        pages,
        "GET",
        "",
        operation_id="showProducts",
        summary="List products",
        guard=guards(),
        query=ProductsPageQuery,
        answers=SHOWS,
        problems=(ValidationFailed,),
    )
    def products(caller: Principal, query: ProductsPageQuery) -> Answer:
        found: dict[str, Any] = json.loads(list_products(engine, query, also_inactive=True))
        return show("shop_products.html", title="Products", **found)

    @operation(
        pages,
        "GET",
        "/<uuid:product_id>",
        operation_id="showProduct",
        summary="See a product and its stock",
        guard=guards(),
        query=ProductPageQuery,
        answers=SHOWS,
        problems=(NotFound,),
    )
    def one(caller: Principal, product_id: UUID, query: ProductPageQuery) -> Answer:
        product = product_of(product_id)
        return show(
            "shop_product.html",
            title=product.name,
            product=product,
            movements=read_movements(product_id, query.cursor, query.limit),
            why=WHY,
            may_act=caller.role is Role.ADMIN,
        )

    def count_form(caller: Principal, product_id: UUID) -> Answer:
        return show("shop_count.html", title="Stock-take", product=product_of(product_id))

    def count(caller: Principal, product_id: UUID, body: CountForm) -> Answer:
        with transaction() as session:
            product = hold_product(session, product_id)
            set_stock(session, product, body.stock_quantity, None, rules.clock(), by=caller.user_id)
        return see_other(f"{PATH}/{product_id}", "counted")

    act_with_form(
        pages,
        "/<uuid:product_id>/count",
        operation_ids=("showStockTakeForm", "takeStock"),
        summary="Set the stock",
        guard=guards(Role.ADMIN),
        form=count_form,
        act=count,
        body=Form(CountForm),
        problems=(NotFound,),
    )

    def adjust_form(caller: Principal, product_id: UUID) -> Answer:
        return show("shop_adjust.html", title="Add or take away", product=product_of(product_id))

    def adjust(caller: Principal, product_id: UUID, body: AdjustForm) -> Answer:
        with transaction() as session:
            product = hold_product(session, product_id)
            was = product.stock_quantity
            set_stock(session, product, was + body.delta, was, rules.clock(), by=caller.user_id)
        return see_other(f"{PATH}/{product_id}", "adjusted")

    act_with_form(
        pages,
        "/<uuid:product_id>/adjust",
        operation_ids=("showAdjustForm", "adjustStock"),
        summary="Add pieces to the stock or take some away",
        guard=guards(Role.ADMIN),
        form=adjust_form,
        act=adjust,
        body=Form(AdjustForm),
        problems=(NotFound, StockWouldBeNegative),
    )
    return pages
