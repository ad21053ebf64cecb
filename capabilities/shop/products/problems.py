"""What staff are told when a product cannot be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import IntegrityError

from security.edge.problems import Problem

UNIQUE_SKU: Final = "uq_shop_products_sku"


class SkuTaken(Problem):
    status, error, title = 409, "sku_taken", "Another product has this SKU"


@contextmanager
def refusing_a_taken_sku() -> Iterator[None]:
    """The unique index decides between those who want one SKU at the same moment."""
    try:
        yield
    except IntegrityError as error:
        if UNIQUE_SKU in str(error.orig):
            raise SkuTaken from None
        raise
