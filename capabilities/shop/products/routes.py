"""`/api/shop/products`: what anyone sees of the catalogue, and what staff do to it."""

from dataclasses import replace
from functools import partial
from typing import Final
from uuid import UUID

from flask import Blueprint
from sqlalchemy import Engine

from auth.assembly import Auth
from auth.principal import Caller, Principal, Role
from capabilities.shop import ORDERS_SCOPE
from capabilities.shop.move_stock import StockWouldBeNegative
from capabilities.shop.once import KEY_PROBLEMS, MADE_HEADERS, Keep, encoded, once
from capabilities.shop.products.bodies import (
    CategoriesAnswer,
    NewProductBody,
    ProductAnswer,
    ProductBody,
    ProductsAnswer,
    ProductsQuery,
    StockMovementsAnswer,
)
from capabilities.shop.products.conditional import CONDITIONAL_HEADERS, Tagged
from capabilities.shop.products.create_product import create_product
from capabilities.shop.products.list_movements import list_movements
from capabilities.shop.products.list_products import list_categories, list_products, renew_list
from capabilities.shop.products.problems import SkuTaken
from capabilities.shop.products.replace_product import replace_product
from capabilities.shop.products.shared_reads import SharedReads
from capabilities.shop.products.show import read_product
from capabilities.shop.products.withdraw_product import withdraw_product
from capabilities.shop.rules import ShopRules
from database import transaction
from security.api.cursor import ListQuery
from security.api.operation import Answer, operation
from security.api.request_bodies import Json
from security.edge.problems import NotFound, ValidationFailed

LARGEST_BODY: Final = 256 * 1024
PATH: Final = "/api/shop"


def product_routes(auth: Auth, rules: ShopRules, engine: Engine) -> Blueprint:
    routes = Blueprint("products", __name__, url_prefix=PATH)
    add_reads(routes, auth, engine)
    add_changes(routes, auth, rules)
    return routes


def is_admin(caller: Caller | None) -> bool:
    return isinstance(caller, Principal) and caller.role.includes(Role.ADMIN)


def add_reads(routes: Blueprint, auth: Auth, engine: Engine) -> None:
    open_to_all = auth.anyone_or_signed_in("people look at products before they have an account", ORDERS_SCOPE)
    on_sale = SharedReads[ProductsQuery](partial(renew_list, engine))
    one_on_sale = SharedReads[UUID](lambda sought, _: Tagged.of(read_product(engine, sought, also_inactive=False)))
    categories = SharedReads[None](lambda *_: Tagged.of(encoded(list_categories())))
    shown_to_all = partial(operation, routes, "GET", guard=open_to_all, answer_headers=CONDITIONAL_HEADERS)

    @shown_to_all(
        "/products",
        operation_id="listProducts",
        summary="List products",
        query=ProductsQuery,
        answers={200: ProductsAnswer, 304: None},
        problems=(ValidationFailed,),
    )
    def products(caller: Caller | None, query: ProductsQuery) -> Answer:
        """Returns what is on sale, the newest first unless you choose another `sort`. The next page begins after the place that the
        last product of this page has then. Admins also see what is not on sale.
        """
        if is_admin(caller):
            return Answer(200, list_products(engine, query, also_inactive=True))
        return on_sale(query).answer()

    @shown_to_all(
        "/categories",
        operation_id="listCategories",
        summary="List the categories of products",
        answers={200: CategoriesAnswer, 304: None},
    )
    def list_all_categories(caller: Caller | None) -> Answer:
        """Returns the categories that have a product on sale, by name: the first 1,000."""
        return categories(None).answer()

    @shown_to_all(
        "/products/<uuid:product_id>",
        operation_id="getProduct",
        summary="Get a product",
        answers={200: ProductAnswer, 304: None},
        problems=(NotFound,),
    )
    def product(caller: Caller | None, product_id: UUID) -> Answer:
        """A product that is not on sale is only shown to admins."""
        if is_admin(caller):
            return Answer(200, read_product(engine, product_id, also_inactive=True))
        return one_on_sale(product_id).answer()


def add_changes(routes: Blueprint, auth: Auth, rules: ShopRules) -> None:
    support = replace(auth.signed_in, role=Role.SUPPORT)
    admins = replace(auth.signed_in, role=Role.ADMIN)

    @operation(
        routes,
        "POST",
        "/products",
        operation_id="createProduct",
        summary="Create a product",
        guard=admins,
        body=Json(NewProductBody, LARGEST_BODY),
        answers={201: ProductAnswer},
        accepts_idempotency_key=True,
        answer_headers=MADE_HEADERS,
        problems=(SkuTaken, *KEY_PROBLEMS),
    )
    def create(caller: Principal, body: NewProductBody, idempotency_key: str | None) -> Answer:
        """Only admins can do this."""

        def make(keep: Keep) -> ProductAnswer:
            with transaction() as session:
                answer = create_product(rules, session, body, by=caller.user_id)
                keep(session, answer)
            return answer

        return once(caller.user_id, "createProduct", idempotency_key, body, make, below=f"{PATH}/products")

    @operation(
        routes,
        "PUT",
        "/products/<uuid:product_id>",
        operation_id="replaceProduct",
        summary="Change a product",
        guard=admins,
        body=Json(ProductBody, LARGEST_BODY),
        answers={200: ProductAnswer},
        problems=(NotFound, SkuTaken, StockWouldBeNegative),
    )
    def change(caller: Principal, product_id: UUID, body: ProductBody) -> Answer:
        """Send all fields. Orders keep the name and the price of the moment at which they were placed. Only admins can do this."""
        with transaction() as session:
            answer = replace_product(rules, session, product_id, body, by=caller.user_id)
        return Answer(200, answer)

    @operation(
        routes,
        "DELETE",
        "/products/<uuid:product_id>",
        operation_id="deleteProduct",
        summary="Take a product off sale",
        guard=admins,
        problems=(NotFound,),
    )
    def withdraw(caller: Principal, product_id: UUID) -> None:
        """Sets `is_active` to false. Orders keep the product, and you can put it on sale again. Only admins can do this."""
        withdraw_product(product_id, rules.clock(), by=caller.user_id)

    @operation(
        routes,
        "GET",
        "/products/<uuid:product_id>/stock-movements",
        operation_id="listStockMovements",
        summary="List the stock movements of a product",
        guard=support,
        query=ListQuery,
        answers={200: StockMovementsAnswer},
        problems=(NotFound,),
    )
    def movements(caller: Principal, product_id: UUID, query: ListQuery) -> Answer:
        """Returns the newest first. The sum of all is the stock. Only support and admins can do this."""
        page = list_movements(product_id, query.cursor, query.limit)
        return Answer(200, StockMovementsAnswer(stock_movements=list(page.items), next_cursor=page.next_cursor))
