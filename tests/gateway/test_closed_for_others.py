"""One tenant's questions close the service for nobody else; a private server that is ill for everybody is left alone."""

import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.tiers import Tier
from examples.private_server.switches import Fault, Switches
from metering.breaker import Breaker
from tests.gateway.running_gateway import RunningGateway, running_gateway

TENANTS = [uuid.uuid4() for _ in range(3)]
ASKED = 15
UNUSABLE = [Switches(Fault.NAN), Switches(Fault.HUGE), Switches(Fault.CLOSE), Switches(Fault.STATUS, status=422)]


@pytest.fixture
def gateway(database_url: str) -> Iterator[RunningGateway]:
    with running_gateway(database_url, breaker=Breaker()) as running:
        yield running


@pytest.mark.parametrize("bad", [Switches(Fault.STATUS), *UNUSABLE], ids=lambda value: str(value)[:40])
def test_three_users_whose_questions_fail_close_it_for_nobody_else(gateway: RunningGateway, bad: Switches) -> None:
    gateway.private.switches = bad
    for user in TENANTS * (ASKED // 3):
        assert gateway.ask(user=user).status_code in {422, 502}
    gateway.private.switches = Switches()
    assert gateway.ask().status_code == 200


def test_three_users_whose_questions_hang_close_it_for_nobody_else(database_url: str) -> None:
    with running_gateway(database_url, breaker=Breaker(), timeout=0.6) as gateway:
        gateway.private.switches = Switches(Fault.HANG)
        with ThreadPoolExecutor(ASKED) as threads:
            answers = threads.map(lambda user: gateway.ask(user=user).status_code, TENANTS * (ASKED // 3))
            assert set(answers) == {504}
        gateway.private.switches = Switches()
        assert gateway.ask().status_code == 200


@pytest.mark.parametrize("bad", [Switches(Fault.STATUS), Switches(Fault.BODY_CUT)], ids=lambda value: str(value)[:40])
def test_a_server_that_fails_for_everybody_is_left_alone(gateway: RunningGateway, bad: Switches) -> None:
    gateway.private.switches = bad
    answers = [gateway.ask(user=uuid.uuid4()).status_code for _ in range(12)]
    assert answers == [502] * 10 + [503] * 2
    assert gateway.private.seen.predictions == 10


def test_answers_that_cannot_be_used_say_nothing_about_health(gateway: RunningGateway) -> None:
    """They may depend on the question, and the server did answer."""
    gateway.private.switches = Switches(Fault.NAN)
    assert {gateway.ask(user=uuid.uuid4()).status_code for _ in range(30)} == {502}


def test_a_server_that_nobody_can_connect_to_is_left_alone_also_with_one_user(database_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with running_gateway(database_url, private_url=address, breaker=Breaker()) as gateway:
            answers = [gateway.ask(tier=Tier.ENTERPRISE) for _ in range(6)]
            assert {answer.status_code for answer in answers} == {503}
            assert "type" in answers[5].get_json()
            assert answers[5].get_json()["type"].endswith("#temporary-reduced-capacity")
            assert not answers[4].get_json()["type"].endswith("#temporary-reduced-capacity")
