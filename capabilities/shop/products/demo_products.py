"""Twelve bonsai for `flask bootstrap-demo`."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import select

from capabilities.shop.models import Product
from capabilities.shop.products.bodies import NewProductBody
from capabilities.shop.products.create_product import create_product
from capabilities.shop.rules import ShopRules
from database import transaction

DEMO_PRODUCTS: Final = (
    ("BONSAI-JUNIPER", "Chinese juniper", "Outdoor trees", "120", 8, "Fifteen years old, informal upright."),
    ("BONSAI-PINE", "Japanese black pine", "Outdoor trees", "240", 4, "Twenty-five years old, in a hand-made pot."),
    (
        "BONSAI-MAPLE",
        "Japanese maple",
        "Outdoor trees",
        "95",
        12,
        "Red leaves in autumn. Keep it out of the midday sun.",
    ),
    ("BONSAI-LARCH", "European larch", "Outdoor trees", "80", 10, "A forest of five on a flat stone."),
    ("BONSAI-FICUS", "Ficus retusa", "Indoor trees", "45", 30, "Forgives beginners. Likes a bright window."),
    ("BONSAI-ELM", "Chinese elm", "Indoor trees", "38", 40, "Small leaves and fine twigs, eight years old."),
    ("BONSAI-JADE", "Jade tree", "Indoor trees", "29", 50, "Needs little water."),
    ("BONSAI-OLIVE", "Wild olive", "Indoor trees", "110", 1, "The last one of its kind."),
    ("BONSAI-POT", "Glazed pot", "Pots and tools", "34", 60, "Oval, blue, 24 cm."),
    ("BONSAI-SHEARS", "Pruning shears", "Pots and tools", "26", 75, "Carbon steel, 18 cm."),
    ("BONSAI-WIRE", "Training wire", "Pots and tools", "9", 200, "Aluminum, 2 mm, 50 m."),
    ("BONSAI-COURSE", "Pruning course", "Courses", "60", 15, "Four evenings online. Nothing to send."),
)
"""SKU, name, category, price, stock, description."""


def create_demo_products(rules: ShopRules) -> Iterator[tuple[str, str]]:
    """What is there already stays as it is. Gives a line for the command."""
    created = 0
    for sku, name, category, price, stock, description in DEMO_PRODUCTS:
        body = NewProductBody(
            sku=sku,
            name=name,
            category=category,
            price=price,
            stock_quantity=stock,
            description=description,
            ships=category != "Courses",
        )
        with transaction() as session:
            if session.scalars(select(Product.id).where(Product.sku == sku)).one_or_none() is None:
                create_product(rules, session, body, by=None)
                created += 1
    yield "products", f"{created} created, {len(DEMO_PRODUCTS) - created} were there"
