"""A session whose sockets are cut goes on: no byte of output is lost or comes twice, and no key is pressed twice"""

import string
import struct
import time
from pathlib import Path
from random import Random

import pytest

from sandbox.open_ssh import OpenSsh
from sandbox.ssh_programs import Echo, Flood, Ticker, numbered_lines
from tests.capabilities.terminal.running_terminal import Customer
from tests.capabilities.terminal.sockets.conftest import PASSWORD, Open, ServerWith, profile_of
from tests.metering.limit_backends import eventually

pytestmark = pytest.mark.slow

CUTS = 50
MEBIBYTE = 2**20
RING = MEBIBYTE
SIZE = 3 * MEBIBYTE + 12_346
PAINT = f"""
trap 'echo the screen of $(stty size)' WINCH
echo begun
head -c {SIZE} /dev/zero | tr '\\0' x
touch poured
while :; do sleep 0.05; done
"""
HALF_A_FRAME = struct.pack("!BBHI", 0x81, 0x80 | 126, 1000, 0) + b"{"
"""The head of a frame of a thousand bytes, and the first of them."""


def test_fifty_cuts_while_a_program_prints_and_keys_are_typed(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    program = Ticker(lines_per_second=100)
    profile_id = profile_of(alice, server_with(program))
    chance, typed, again = Random(17), "", 0
    device = open_socket(alice)
    shell = device.connect(profile_id, answers=[PASSWORD])
    for cut in range(CUTS):
        device.listen(chance.uniform(0, 0.06))
        for key in chance.choices(string.ascii_lowercase, k=chance.randint(0, 4)):
            typed += key
            device.type(shell, key)
        time.sleep(chance.uniform(0, 0.02))  # they may have arrived or not
        again += len(shell.unacknowledged)
        if chance.random() < 0.2:
            device.socket.send_bytes(HALF_A_FRAME)
        if cut % 10:
            device.socket.cut()  # otherwise nobody tells the server that the device is away
        device = open_socket(alice)
        assert device.resume(shell)["data"]["missed"] == 0
    assert again > CUTS / 2
    device.type(shell, "!")
    device.reads(shell, "[!]")
    device.read(lambda: not shell.unacknowledged)
    assert program.typed.decode() == f"{typed}!"
    assert shell.output == program.wrote[: len(shell.output)]
    assert shell.output.decode().endswith("[!]") or b"[!]line" in shell.output


def test_more_output_than_is_kept_is_missed_and_counted(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    """And full-screen programs are made to paint anew, by a size that changes and changes back."""
    program = Flood(SIZE)
    profile_id = profile_of(alice, server_with(program))
    device = open_socket(alice)
    shell = device.connect(profile_id, answers=[PASSWORD])
    device.read(lambda: len(shell.output) > 64 * 1024)
    device.socket.cut()
    eventually(lambda: program.written == SIZE)
    eventually(lambda: alice.terminal_sessions()[0]["state"] == "detached")
    before = len(shell.output)
    device = open_socket(alice)
    missed = device.resume(shell)["data"]["missed"]
    device.read(lambda: shell.seq == SIZE)
    assert 0 <= missed + before - (SIZE - RING) < 4  # the character that was cut at the ring's edge is passed over
    whole = numbered_lines(SIZE)
    assert shell.output == whole[:before] + whole[before + missed :]
    eventually(lambda: program.sizes == [(24, 80), (23, 80), (24, 80)])


def test_what_is_typed_twice_is_dropped_and_a_gap_is_told(
    alice: Customer, server_with: ServerWith, open_socket: Open
) -> None:
    program = Echo()
    profile_id = profile_of(alice, server_with(program))
    device = open_socket(alice)
    shell = device.connect(profile_id, answers=[PASSWORD])
    for number in (1, 2, 2, 1, 3):
        device.send("input", session_id=shell.id, data=str(number), input_seq=number)
    device.send("input", session_id=shell.id, data="5", input_seq=5)
    told = device.hears("error", shell=shell)["data"]
    assert (told["code"], told["retryable"]) == ("input_gap", False)
    device.send("input", session_id=shell.id, data="4", input_seq=4)
    device.reads(shell, "1234")
    assert program.typed == b"1234"


def test_a_real_program_paints_its_screen_anew(
    alice: Customer, sshd: OpenSsh, open_socket: Open, tmp_path: Path
) -> None:
    key = alice.add_key()
    sshd.let_in(key["public_key"])
    profile = alice.profile(port=sshd.port, username=sshd.user, auth="key", ssh_key_id=key["id"])
    program = tmp_path / "paint.sh"
    program.write_text(PAINT)
    device = open_socket(alice)
    shell = device.connect(profile["id"])
    device.type(shell, f"cd {tmp_path} && exec sh {program.name}\r")
    device.reads(shell, "begun")
    device.socket.cut()
    eventually((tmp_path / "poured").exists, seconds=20)
    device = open_socket(alice)
    assert device.resume(shell)["data"]["missed"] > SIZE - RING - MEBIBYTE
    device.reads(shell, "the screen of 24 80")
