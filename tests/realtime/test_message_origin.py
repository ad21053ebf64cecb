"""Which pages may open a socket of a path, and that a cookie opens none."""

import pytest
from websockets.exceptions import InvalidStatus

from tests.realtime.conftest import Accounts
from tests.realtime.message_socket import MessageSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.realtime.toy_messages import PATH
from tests.whole.environment import PUBLIC_HOST, WEB_ORIGIN

pytestmark = pytest.mark.slow

COOKIE = "session=1"


@pytest.fixture(scope="module")
def token(accounts: Accounts) -> str:
    return accounts.person("enterprise").token


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", f"{WEB_ORIGIN}.evil.com"])
def test_a_page_of_another_origin_is_refused_before_the_upgrade(
    realtime: RealtimeProcess, token: str, origin: str
) -> None:
    for cookie in (None, COOKIE):
        with pytest.raises(InvalidStatus) as refused:
            MessageSocket(realtime.url, token, origin=origin, cookie=cookie)
        assert refused.value.response.status_code == 403
        assert b'"origin_not_allowed"' in refused.value.response.body


@pytest.mark.parametrize("origin", [WEB_ORIGIN, f"https://{PUBLIC_HOST}"])
def test_a_page_of_ours_is_let_in_whatever_its_cookies(realtime: RealtimeProcess, token: str, origin: str) -> None:
    with MessageSocket(realtime.url, origin=origin, cookie=COOKIE) as page:
        page.sign_in(token)
        assert page.ask("echo", "said", data="hello") == {"data": "hello"}


def test_a_cookie_alone_is_refused_before_the_upgrade(realtime: RealtimeProcess, token: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        MessageSocket(realtime.url, cookie=COOKIE)
    assert refused.value.response.status_code == 403
    assert b"Cookies open no socket" in refused.value.response.body
    with MessageSocket(realtime.url, token, cookie=COOKIE) as app:
        assert app.ask("echo", "said", data="hello")


def test_what_is_no_websocket_is_told_so(realtime: RealtimeProcess) -> None:
    status, problem = realtime.get(PATH)
    assert (status, problem["error"]) == (426, "upgrade_required")
    status, problem = realtime.get(f"{PATH}/other")
    assert (status, problem["error"]) == (404, "not_found")
