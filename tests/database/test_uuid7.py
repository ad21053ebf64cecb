"""Ids of rows that are written in time order."""

import time
import uuid

from database.base import uuid7


def test_ids_sort_by_the_time_at_which_they_were_made_also_within_a_millisecond() -> None:
    made = [uuid7() for _ in range(2000)]
    assert made == sorted(made)


def test_an_id_is_a_version_7_uuid_of_the_present() -> None:
    before, made, after = time.time_ns(), uuid7(), time.time_ns()
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before // 1_000_000 <= made.int >> 80 <= after // 1_000_000
