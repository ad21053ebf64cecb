"""Who may do what to the catalogue."""

import pytest

from tests.capabilities.shop.products.catalogue import PRODUCTS, Catalogue

BODY = {"name": "Juniper", "price": "12.50"}
ADMINS = [("POST", ""), ("PUT", "/{id}"), ("DELETE", "/{id}")]
STAFF = [*ADMINS, ("GET", "/{id}/stock-movements")]


@pytest.fixture(scope="module")
def product_id(catalogue: Catalogue) -> str:
    return str(catalogue.product()["id"])


@pytest.mark.parametrize(("method", "path"), STAFF)
def test_whoever_is_no_staff_is_refused(catalogue: Catalogue, product_id: str, method: str, path: str) -> None:
    path, body = PRODUCTS + path.format(id=product_id), None if method in {"GET", "DELETE"} else BODY
    refused = catalogue.call(method, path, catalogue.buyer, json=body)
    assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_role")
    nobody = catalogue.call(method, path, json=body)
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, 'Bearer realm="mirroros"')
    with_key = catalogue.call(method, path, catalogue.api_key, json=body)
    assert (with_key.status_code, with_key.get_json()["error"]) == (403, "insufficient_scope")


@pytest.mark.parametrize(("method", "path"), ADMINS)
def test_support_changes_nothing(catalogue: Catalogue, product_id: str, method: str, path: str) -> None:
    body = None if method == "DELETE" else BODY
    refused = catalogue.call(method, PRODUCTS + path.format(id=product_id), catalogue.support, json=body)
    assert (refused.status_code, refused.get_json()["error"]) == (403, "insufficient_role")


@pytest.mark.parametrize(("method", "path"), STAFF)
def test_whoever_impersonates_is_refused(catalogue: Catalogue, product_id: str, method: str, path: str) -> None:
    body = None if method in {"GET", "DELETE"} else BODY
    refused = catalogue.call(method, PRODUCTS + path.format(id=product_id), catalogue.impersonation, json=body)
    expected = "insufficient_role" if method == "GET" else "impersonation_read_only"
    assert (refused.status_code, refused.get_json()["error"]) == (403, expected)


def test_a_key_with_the_scope_reads_the_catalogue(catalogue: Catalogue, product_id: str) -> None:
    for path in (PRODUCTS, f"{PRODUCTS}/{product_id}", "/api/shop/categories"):
        assert catalogue.get(path, catalogue.api_key).status_code == 200
        assert catalogue.get(path, catalogue.impersonation).status_code == 200
        assert catalogue.get(path, "nonsense").status_code == 401
