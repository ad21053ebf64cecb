"""The memory that recordings may take."""

from uuid import uuid4

import pytest

from capabilities.chat.voice.bodies import VoiceStartBody
from capabilities.chat.voice.problems import RecordingTooLarge, TooManyRecordings
from capabilities.chat.voice.recordings import LARGEST_RECORDING, Recordings

WANTED = VoiceStartBody(conversation_id=uuid4(), format="webm")


def test_one_has_25_mib_at_most() -> None:
    recordings = Recordings()
    recording = recordings.begin(WANTED)
    recordings.add(recording, bytes(LARGEST_RECORDING))
    with pytest.raises(RecordingTooLarge) as refused:
        recordings.add(recording, b"x")
    assert (refused.value.status, recordings.size) == (413, LARGEST_RECORDING)


def test_all_together_have_a_bound_and_give_back_what_they_took() -> None:
    recordings = Recordings(most_bytes=100)
    first, second = recordings.begin(WANTED), recordings.begin(WANTED)
    recordings.add(first, bytes(60))
    with pytest.raises(TooManyRecordings):
        recordings.add(second, bytes(60))
    assert first.taken() == bytes(60)
    with pytest.raises(TooManyRecordings):  # it is on its way to the provider
        recordings.add(second, bytes(60))
    for _ in range(2):
        recordings.forget(first)
    recordings.add(second, bytes(60))
    assert (recordings.size, second.size) == (60, 60)
    recordings.forget(second)
    assert recordings.size == 0
