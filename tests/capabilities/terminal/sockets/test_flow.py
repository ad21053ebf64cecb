"""Output waits at its server while nobody takes it: nothing grows, and others are served"""

import time

import psutil
import pytest

from sandbox.ssh_programs import Echo, Flood, numbered_lines
from tests.capabilities.terminal.running_terminal import Customer
from tests.capabilities.terminal.sockets.conftest import PASSWORD, Open, ServerWith, profile_of
from tests.metering.limit_backends import eventually
from tests.realtime.realtime_process import RealtimeProcess

pytestmark = pytest.mark.slow

MEBIBYTE = 2**20
SIZE = 24 * MEBIBYTE + 12_345
MOST_ON_THE_WAY = 8 * MEBIBYTE
"""With what the system keeps of both connections."""
MOST_GROWTH = 8 * MEBIBYTE
MOST_UNACKNOWLEDGED = 256 * 1024
OF_A_MESSAGE = 16 * 1024
LONGEST_ANSWER_SECONDS = 1.0


def is_blocked(program: Flood) -> bool:
    """Something came, and nothing more for half a second."""
    before = program.written
    time.sleep(0.5)
    return 0 < before == program.written


def test_a_viewer_that_does_not_read(
    alice: Customer, bob: Customer, realtime: RealtimeProcess, server_with: ServerWith, open_socket: Open
) -> None:
    program = Flood(SIZE)
    profile_id, others = profile_of(alice, server_with(program)), profile_of(bob, server_with(Echo()))
    bystander = open_socket(bob)
    echo = bystander.connect(others, answers=[PASSWORD])
    memory = psutil.Process(realtime.pid).memory_info
    viewer = open_socket(alice, receive_buffer=16 * 1024)
    before = memory().rss
    shell = viewer.connect(profile_id, answers=[PASSWORD])
    eventually(lambda: is_blocked(program), seconds=20)
    assert program.written < MOST_ON_THE_WAY
    for number in range(20):
        asked = time.monotonic()
        bystander.type(echo, f"<{number}>")
        bystander.reads(echo, f"<{number}>")
        assert time.monotonic() - asked < LONGEST_ANSWER_SECONDS
    assert memory().rss - before < MOST_GROWTH
    assert program.written < MOST_ON_THE_WAY
    viewer.read(lambda: shell.seq == SIZE, seconds=60)
    assert shell.output == numbered_lines(SIZE)
    assert memory().rss - before < MOST_GROWTH


def test_a_viewer_that_reads_and_does_not_acknowledge_any_more(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    program = Flood(SIZE)
    viewer = open_socket(alice, acks=False)
    shell = viewer.connect(profile_of(alice, server_with(program)), answers=[PASSWORD])
    viewer.read(lambda: shell.seq > 0)
    acknowledged = shell.seq
    viewer.send("ack", session_id=shell.id, data={"seq": acknowledged})
    viewer.listen(0.5)  # with what was on its way before
    came = shell.seq
    viewer.listen(0.5)
    assert shell.seq == came < SIZE
    assert is_blocked(program)
    assert program.written < MOST_ON_THE_WAY
    viewer.send("ack", session_id=shell.id, data={"seq": came})
    viewer.read(lambda: shell.seq > came)
    viewer.listen(0.5)
    assert came < shell.seq <= came + MOST_UNACKNOWLEDGED + OF_A_MESSAGE


def test_a_viewer_that_knows_no_acknowledgements_gets_everything(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    size = 2 * MEBIBYTE + 1_001
    viewer = open_socket(alice, acks=False)
    shell = viewer.connect(profile_of(alice, server_with(Flood(size))), answers=[PASSWORD])
    viewer.read(lambda: shell.seq == size)
    assert shell.output == numbered_lines(size)


def test_sockets_of_one_user_that_do_not_read_hold_up_no_other(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    """Several sessions share one socket, and one of them is far behind with its acknowledgements."""
    profile_id = profile_of(alice, server_with(Flood(SIZE)))
    quiet = profile_of(alice, server_with(Echo()))
    device = open_socket(alice, acks=False)
    echo = device.connect(quiet, answers=[PASSWORD])
    shell = device.connect(profile_id, answers=[PASSWORD])
    device.read(lambda: shell.seq > 0)
    device.send("ack", session_id=shell.id, data={"seq": shell.seq})
    device.listen(0.5)
    device.type(echo, "hello")
    device.reads(echo, "hello", seconds=LONGEST_ANSWER_SECONDS)
