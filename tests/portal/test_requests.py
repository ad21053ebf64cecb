"""/portal/requests"""

import re
from datetime import timedelta
from html import unescape

from tests.admin.dashboard import Dashboard, text_of
from tests.portal.calls import insert_call


def test_they_are_listed_filtered_and_downloaded(dashboard: Dashboard) -> None:
    customer, now = dashboard.customer(), dashboard.auth.clock()
    good = insert_call(dashboard, customer.user_id, now, micros=1_000_000)
    bad = insert_call(dashboard, customer.user_id, now - timedelta(minutes=1), error="timeout")
    page = text_of(customer.get("/portal/requests"))
    assert str(good) in page and str(bad) in page and "1.00 USD" in page and "timeout" in page
    failed = text_of(customer.get("/portal/requests?status=failed&feature=&from=&to="))
    assert str(bad) in failed and str(good) not in failed
    csv = customer.get("/portal/requests/all.csv?status=failed&feature=")
    assert (csv.mimetype, csv.text.count("\n")) == ("text/csv", 2), csv.text


def test_the_first_and_the_last_day_are_filters(dashboard: Dashboard) -> None:
    customer, today = dashboard.customer(), dashboard.auth.clock()
    yesterday = today - timedelta(days=1)
    late, early = (insert_call(dashboard, customer.user_id, at) for at in (today, yesterday))
    for query, shown in ((f"from={today.date()}", late), (f"from=&to={yesterday.date()}", early)):
        for path in ("/portal/requests", "/portal/requests/all.csv"):
            text = customer.get(f"{path}?{query}").text
            assert [each for each in (late, early) if str(each) in text] == [shown], (path, query)


def test_the_list_goes_on_where_it_ended(dashboard: Dashboard) -> None:
    customer, now = dashboard.customer(), dashboard.auth.clock()
    made = [insert_call(dashboard, customer.user_id, now - timedelta(seconds=each)) for each in range(51)]
    first = customer.get("/portal/requests")
    assert str(made[50]) not in first.text
    second = customer.get(f"/portal/requests?status=ok&cursor={made[49]}")
    assert str(made[50]) in second.text
    download = re.search(r'href="(/portal/requests/all.csv[^"]*)"', second.text)
    assert download is not None
    csv = customer.get(unescape(download[1]))
    assert (csv.mimetype, csv.text.count("\n")) == ("text/csv", 52), csv.text


def test_a_wrong_filter_is_named_and_nothing_is_downloaded_for_it(dashboard: Dashboard) -> None:
    customer = dashboard.customer()
    made = insert_call(dashboard, customer.user_id, dashboard.auth.clock())
    page = customer.get("/portal/requests?from=yesterday&status=ok")
    assert (page.status_code, str(made) in page.text, 'id="from-error"' in page.text) == (422, True, True)
    assert 'value="ok" selected' in page.text
    csv = customer.get("/portal/requests/all.csv?from=yesterday")
    assert (csv.status_code, csv.mimetype, str(made) in csv.text) == (422, "text/html", False)


def test_requests_of_somebody_else_are_not_there(dashboard: Dashboard) -> None:
    theirs = insert_call(dashboard, dashboard.customer().user_id, dashboard.auth.clock())
    customer = dashboard.customer()
    assert "No request matches" in text_of(customer.get("/portal/requests"))
    assert customer.get(f"/portal/requests?cursor={theirs}").status_code == 422
