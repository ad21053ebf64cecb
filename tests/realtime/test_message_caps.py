"""Sockets of all kinds share what a process and a network address may have."""

import pytest
from websockets.exceptions import InvalidStatus

from tests.metering.limit_backends import eventually
from tests.realtime.conftest import PER_ADDRESS, Accounts
from tests.realtime.message_socket import MessageSocket
from tests.realtime.raw_socket import RawSocket
from tests.realtime.realtime_process import RealtimeProcess
from tests.whole.new_address import new_address

pytestmark = pytest.mark.slow


def opens(url: str, address: str) -> bool:
    try:
        MessageSocket(url, address=address).connection.close()
    except InvalidStatus:
        return False
    return True


def test_an_address_has_its_sockets_of_both_kinds_and_no_more(realtime: RealtimeProcess, accounts: Accounts) -> None:
    address, token = new_address(), accounts.person("enterprise").token
    opened: list[RawSocket | MessageSocket] = [RawSocket(realtime.url, token, address=address)]
    opened += [MessageSocket(realtime.url, token, address=address) for _ in range(PER_ADDRESS - 1)]
    for kind in (RawSocket, MessageSocket):
        with pytest.raises(InvalidStatus) as refused:
            kind(realtime.url, address=address)
        assert refused.value.response.status_code == 429
    for each in opened:
        each.connection.close()
    eventually(lambda: opens(realtime.url, address))


def test_a_refused_token_takes_no_place(realtime: RealtimeProcess) -> None:
    address = new_address()
    for _ in range(PER_ADDRESS + 1):
        with pytest.raises(InvalidStatus) as refused:
            MessageSocket(realtime.url, "eyJ.no.token", address=address)
        assert refused.value.response.status_code == 401


def test_a_full_process_says_so(realtime: RealtimeProcess) -> None:
    opened: list[RawSocket | MessageSocket] = []
    with pytest.raises(InvalidStatus) as refused:
        while True:
            opened.append(RawSocket(realtime.url) if len(opened) % 2 else MessageSocket(realtime.url))
    assert (refused.value.response.status_code, refused.value.response.headers["Retry-After"]) == (503, "5")
    for each in opened:
        each.connection.close()
    eventually(lambda: opens(realtime.url, new_address()))
