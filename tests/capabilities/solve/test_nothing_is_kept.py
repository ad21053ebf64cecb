"""No picture, prompt or key of a provider is in any row, log line, Redis key or error."""

import os
from base64 import b64encode
from random import Random

import pytest
import redis

from sandbox.ai_server.next_answers import NextAnswer
from tests.capabilities.solve.conftest import Start
from tests.capabilities.solve.made_pictures import noise, png_chunk, saved
from tests.databases import ask

PROMPT = "the prompt that nobody may find again"
TABLES = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"


def test_nothing_of_a_call_is_kept(start: Start, redis_url: str, capfd: pytest.CaptureFixture[str]) -> None:
    running = start(redis_url)
    alice = running.register()
    marked = Random(os.urandom(8)).randbytes(24)
    png = saved(noise(64, 64), "PNG")
    picture = png[:-12] + png_chunk(b"tEXt", b"Comment\x00" + marked.hex().encode()) + png[-12:]
    pixels = png[png.index(b"IDAT") + 8 :][:60]
    running.ai.next.add(NextAnswer(text="solved"))
    answers = [alice.solve(picture, prompt=PROMPT, key="one"), alice.solve(picture, prompt=PROMPT, key="one")]
    running.ai.next.add(NextAnswer(status=401))
    answers.append(alice.solve(picture, prompt=PROMPT, key="two"))
    answers += [alice.solve(picture[:-40], prompt=PROMPT), alice.solve(picture, prompt=PROMPT * 200)]
    answers += [alice.solve(b64encode(picture).decode() + "\n", prompt=PROMPT)]
    assert [answer.status_code for answer in answers] == [200, 200, 502, 422, 422, 422]
    told = "".join(answer.text for answer in answers)
    (names,) = [[name for name, in ask(running.url, TABLES)]]
    rows = "".join(str(ask(running.url, f'SELECT t::text FROM "{name}" AS t')) for name in names)
    with redis.Redis.from_url(redis_url) as client:
        kept = "".join(f"{key!r}{client.dump(key)!r}" for key in client.keys("*"))
    written = "".join(capfd.readouterr())
    assert all(("solved" in rows, "solve" in written, len(kept) > 0))
    needles = [PROMPT[:20], marked.hex(), marked.hex()[:16], b64encode(pixels[:30]).decode(), pixels.hex()[:40]]
    needles += [running.ai.keys["openai"], running.ai.keys["openai"][12:30]]
    for place, text in {"answers": told, "rows": rows, "redis": kept, "logs": written}.items():
        assert [needle for needle in needles if needle in text] == [], place
