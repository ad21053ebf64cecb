"""What the pages of the dashboard are made of: our own files alone, under a policy that allows nothing else."""

import hashlib
import re
from pathlib import Path

import site_frame
from tests.admin.dashboard import BASE, Dashboard

STATIC = Path(site_frame.__file__).parent / "static"


def test_what_is_of_others_is_as_it_was_published(dashboard: Dashboard) -> None:
    recorded = dict(re.findall(r"^\| (\S+) \| ([0-9a-f]{64}) \|$", (STATIC / "README.md").read_text(), re.MULTILINE))
    assert set(recorded) == {"uplot.js", "uplot.css"}
    for name, digest in recorded.items():
        served = dashboard.stranger.get(f"/site/assets/{name}", base_url=BASE)
        assert hashlib.sha256(served.data).hexdigest() == digest, name


def test_every_asset_that_a_page_names_is_served_and_kept_for_good(dashboard: Dashboard) -> None:
    page = dashboard.staff().get("/admin").text
    named = re.findall(r'(?:src|href)="([^"]+\?v=[^"]+)"', page)
    assert {path.partition("?")[0].rpartition("/")[2] for path in named} == {
        "site.css", "site.js", "uplot.css", "uplot.js", "overview.js",
    }  # fmt: skip
    for path in named:
        served = dashboard.stranger.get(path, base_url=BASE)
        assert (served.status_code, "immutable" in served.headers["Cache-Control"]) == (200, True), path


def test_a_page_is_kept_nowhere_and_allows_nothing_of_others(dashboard: Dashboard) -> None:
    page = dashboard.staff().get("/admin")
    assert page.headers["Cache-Control"] == "no-store"
    [policy] = page.headers.getlist("Content-Security-Policy")
    assert policy == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; frame-ancestors 'none';"
        " base-uri 'none'; form-action 'self'"
    )
    assert re.findall(r"<(?:script(?! src)|style|[^>]* (?:style|on[a-z]+)=)", page.text) == []
