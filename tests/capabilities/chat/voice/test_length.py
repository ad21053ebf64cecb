"""How long a recording is, from its container: true ones, those that lie about themselves, and what is none."""

import struct
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capabilities.chat.voice.length.read_length import LONGEST_SECONDS, READERS, read_length
from capabilities.chat.voice.problems import RecordingTooLong, RecordingTooShort, RecordingUnreadable
from tests.capabilities.chat.voice import made_recordings as made
from tests.capabilities.chat.voice.made_recordings import MADE

REFUSALS = (RecordingUnreadable, RecordingTooShort, RecordingTooLong)
SECONDS = st.floats(0.2, 290)


@pytest.mark.parametrize("container", MADE)
@settings(max_examples=5, deadline=None)
@given(seconds=SECONDS)
def test_each_format_has_its_length(container: str, seconds: float) -> None:
    assert read_length(MADE[container](seconds), container) == pytest.approx(seconds, abs=0.05)


@pytest.mark.parametrize("container", MADE)
def test_six_minutes_and_a_moment_are_refused(container: str) -> None:
    with pytest.raises(RecordingTooLong) as refused:
        read_length(MADE[container](360), container)
    assert (refused.value.status, refused.value.members) == (422, {"limit": 300})
    with pytest.raises(RecordingTooShort):
        read_length(MADE[container](0.06), container)


@pytest.mark.parametrize(
    "lie",
    [
        made.webm(60, claimed=1),
        made.webm(60, timed=lambda _: 0),
        made.webm(60, starts=1_000, timed=lambda time: -time // 100),
        made.webm(60, head=made.webm_head(scale=1)),
        made.webm(60, starts=10**9),
    ],
    ids=["duration", "times", "times that fall", "scale", "a live one that began long ago"],
)
def test_of_a_webm_the_packets_count_whatever_else_it_says(lie: bytes) -> None:
    assert read_length(lie, "webm") == pytest.approx(60, abs=0.05)


def test_silence_that_a_browser_left_out_counts() -> None:
    """Some encoders send nothing while nobody speaks: the times go on."""
    assert read_length(made.webm(6, timed=lambda time: time * 3), "webm") == pytest.approx(18, abs=0.3)
    assert read_length(made.ogg(30, told=60), "ogg") == pytest.approx(60, abs=1.1)


def test_of_an_ogg_the_packets_count_whatever_its_positions_say() -> None:
    assert read_length(made.ogg(60, told=1), "ogg") == pytest.approx(60, abs=0.05)
    assert read_length(made.ogg(60, starts=10**9), "ogg") == pytest.approx(60, abs=0.05)
    assert read_length(made.vorbis_ogg(12.5), "ogg") == pytest.approx(12.5)


def test_streams_that_follow_each_other_are_added_up() -> None:
    assert read_length(made.ogg(4) + made.ogg(5, serial=2), "ogg") == pytest.approx(9, abs=0.05)
    assert read_length(made.ogg(4) + made.ogg(5), "ogg") == pytest.approx(9, abs=0.05)


@pytest.mark.parametrize("size", [0, 16_000, 2**32 - 1])
def test_of_a_wav_the_samples_that_are_there_count(size: int) -> None:
    whole = made.wav(60)
    at = whole.index(b"data") + 4
    assert read_length(whole[:at] + struct.pack("<I", size) + whole[at + 4 :], "wav") == pytest.approx(60)


def test_a_wav_that_lies_about_its_byte_rate() -> None:
    whole = bytearray(made.wav(60))
    at = whole.index(b"fmt ") + 16
    whole[at : at + 4] = struct.pack("<I", 2**31)
    assert read_length(bytes(whole), "wav") == pytest.approx(60)


def test_an_mp3_is_counted_frame_by_frame() -> None:
    xing = made.MP3_FRAME[:36] + b"Xing" + struct.pack(">II", 1, 1) + made.MP3_FRAME[48:]
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    assert read_length(tag + xing + made.mp3(60) + b"TAG" + bytes(125), "mp3") == pytest.approx(60, abs=0.1)
    half = b"\xff\xf3\x40\xc4" + bytes(140)  # MPEG-2, 32 kbit/s at 22.05 kHz: another bit rate and half the samples
    assert read_length(half * 100 + made.mp3(10), "mp3") == pytest.approx(10 + 100 * 576 / 22_050, abs=0.05)


@pytest.mark.parametrize(
    ("container", "audio"),
    [
        *[(container, b"") for container in READERS],
        *[(container, b"\xff" * 100_000) for container in READERS],
        *[(container, bytes(100_000)) for container in READERS],
        *[(container, MADE["webm" if container != "webm" else "wav"](2)) for container in READERS],
        ("webm", made.webm(2, head=made.webm_head(codec=b"V_VP8"))),
        ("webm", made.element(0x1A45DFA3, b"") + made.element(0x18538067, made.element(0x1F43B675, made.block(0)))),
        ("webm", made.element(0x1A45DFA3, b"") + made.element(0x18538067, made.webm_head() + made.block(0, flags=2))),
        ("webm", made.element(0x1A45DFA3, b"") + made.element(0x18538067, made.webm_head())),
        ("webm", made.element(0x1A45DFA3, b"") + made.element(0x4282, b"", size_left_open=True)),
        ("ogg", made.ogg_page(0, [b"\x80theora"], flags=2)),
        ("ogg", made.ogg_page(960, [made.OPUS_20_MS])),
        ("ogg", made.ogg(1) + b"junk" * 20),
        ("wav", b"RIFF\0\0\0\0WAVEdata" + bytes(1_000)),
        ("wav", made.wav(1).replace(b"\x01\x00\x01\x00", b"\x11\x00\x01\x00")),
        ("wav", made.wav(1).replace(b"\x01\x00\x01\x00", b"\x01\x00\x00\x00")),
        ("mp3", made.MP3_FRAME),
        ("mp3", made.mp3(1) + b"\xff\x00" * 50_000),
    ],
)
def test_what_cannot_be_read_is_refused(container: str, audio: bytes) -> None:
    with pytest.raises((RecordingUnreadable, RecordingTooShort)) as refused:
        read_length(audio, container)
    assert refused.value.status == 422


@pytest.mark.parametrize("container", MADE)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_garbage_and_truncated_files_are_read_or_refused(container: str, data: st.DataObject) -> None:
    whole = MADE[container](3)
    cut = data.draw(st.integers(0, len(whole)))
    changed = bytearray(whole[:cut])
    for at, byte in data.draw(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=6)):
        if at < len(changed):
            changed[at] = byte
    audio = bytes(changed) + data.draw(st.binary(max_size=40))
    with suppress(*REFUSALS):
        assert 0 < read_length(audio, container) <= LONGEST_SECONDS


@pytest.mark.parametrize("container", MADE)
def test_a_file_that_was_cut_off_counts_as_far_as_it_goes(container: str) -> None:
    whole = MADE[container](10)
    assert read_length(whole[: len(whole) // 2], container) == pytest.approx(5, abs=0.6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("container", "audio"),
    [
        ("webm", made.webm(1) + made.element(0xEC, b"") * 2_900_000),
        ("webm", made.webm(1) + made.block(0, b"\x80") * 1_800_000),
        ("ogg", made.ogg(1) + made.ogg_page(0, []) * 970_000),
        ("ogg", b"".join(made.ogg_heads(serial=serial) for serial in range(100_000))),
        ("mp3", made.mp3(1) + b"\xff" * 25_000_000),
        ("wav", b"RIFF\0\0\0\0WAVE" + bytes(25_000_000)),
    ],
)
def test_nothing_that_may_be_sent_keeps_a_processor_busy(container: str, audio: bytes) -> None:
    """Two seconds are many times what it takes here. Without its bound each of these takes longer."""
    started = process_time()
    with pytest.raises(REFUSALS):
        read_length(audio[: 25 * 2**20], container)
    assert process_time() - started < 2
