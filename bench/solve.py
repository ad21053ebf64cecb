"""What solving pictures costs, and what it does to predictions of the same worker: photos that keep its decoders busy, and bombs."""

import json
import os
import secrets
import sys
import threading
import zlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from io import BytesIO
from itertools import cycle
from random import Random
from statistics import median

import psutil
from PIL import Image, ImageDraw

from auth.tiers import Tier
from bench import processor_time
from bench.callers import HOST, prediction_requests
from bench.in_flight import MEBIBYTE
from bench.load import Load, Outcome, run
from bench.login_storm import STORM_SECONDS, all_rounds, predictions, row, storm
from bench.open_loop import OpenLoad, run_open
from bench.processors import Processors
from bench.services import FOLDER, ROOT, Services, private_server
from bench.targets import Addresses, gateway_target
from bench.web_server import WebServer, web_server
from sandbox.child_process import ChildProcess

CALLERS = 400
CONNECTIONS = 4
DELAY_MS = 20
ROUNDS = 6
PHOTOS, BOMBS = 16, 200
"""Photos at once; bombs in a round."""
START_SECONDS = 20
WARM_UP_SECONDS, WINDOW_SECONDS = 0.5, 4.0


def solve(services: Services, processors: Processors) -> bool:
    """Print the processor time of a solve, the worker's memory under large photos, and the p99 of predictions under solves and
    under bombs. False when a prediction or a solve failed.
    """
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=DELAY_MS))
        addresses = Addresses(services.postgres.ensure_database("solve"), services.redis_url(11), private_url, secret)
        target = gateway_target(addresses)
        environment = {
            **target.environment,
            **stack.enter_context(ai_server()),
            "CAPABILITIES": "predict,solve",
            "BILLING_MAX_OPEN_CENTS": "none",
        }
        tokens = target.tokens(CALLERS, Tier.ENTERPRISE)
        asked = prediction_requests(tokens)
        server = stack.enter_context(
            web_server("solve", target.command, environment, first_request=asked[0], processors=processors)
        )
        small = solve_requests(tokens, [small_png()])
        photos = solve_requests(tokens[:PHOTOS], [photo()])
        worked = compare_processor_time(server, asked, small)
        worked &= measure_memory(server, photos)
        return (
            compare_predictions(server, asked, {"solves": photos, "bombs": solve_requests(tokens, bombs())}) and worked
        )


@contextmanager
def ai_server() -> Iterator[Mapping[str, str]]:
    """A provider in a process of its own, and the settings that lead to it."""
    settings, log = FOLDER / "ai.json", FOLDER / "ai.log"
    command = ["nice", "-n", "19", sys.executable, "-m", "sandbox.ai_server", "--settings", str(settings)]
    program = ChildProcess("ai", command, {}, ROOT, log)
    program.start()
    try:
        if program.says(r"^settings: (.+)$", START_SECONDS) is None:
            raise RuntimeError(f"the AI server did not start: {program.output()[-1000:]}")
        given = json.loads(settings.read_text())
        yield {name: given[name] for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL")}
    finally:
        program.stop(10)


def compare_processor_time(server: WebServer, predicting: Sequence[bytes], solving: Sequence[bytes]) -> bool:
    """In turn, so that both meet the same machine."""
    took: dict[str, list[float]] = {"predictions": [], "solves": []}
    failed = 0
    for number in range(ROUNDS):
        kinds = {"predictions": predicting, "solves": solving}
        for name in kinds if number % 2 else reversed(kinds):
            load = Load(server.port, kinds[name], CONNECTIONS, WARM_UP_SECONDS, WINDOW_SECONDS)
            outcome = run(load, lambda: processor_time.of_process(server.worker_pid))
            took[name].append((outcome.after - outcome.before) / max(1, outcome.accepted) * 1000)
            failed += outcome.failed
    ratio = median(one / other for one, other in zip(took["solves"], took["predictions"], strict=True))
    size = len(small_png()) / 1000
    print(f"processor time of the worker, medians of {ROUNDS}; failed {failed}")
    print(
        f"  prediction {median(took['predictions']):.2f} ms, solve of a PNG of {size:.1f} kB {median(took['solves']):.2f} ms"
    )
    print(f"  solve / prediction: {ratio:.2f}   (to reach: at most 1.5)", flush=True)
    return failed == 0


def measure_memory(server: WebServer, photos: Sequence[bytes]) -> bool:
    worker = psutil.Process(server.worker_pid)
    before, seen, over = worker.memory_info().rss, [0], threading.Event()

    def look() -> None:
        while not over.wait(0.01):
            seen.append(worker.memory_info().rss)

    looking = threading.Thread(target=look)
    looking.start()
    outcome = run(Load(server.port, photos, PHOTOS, warm_up=0.0, window=3 * WINDOW_SECONDS), lambda: None)
    over.set()
    looking.join()
    print(
        f"{PHOTOS} photos of 12 megapixels at once, requests of {len(photos[0]) / 1e6:.1f} MB: {dict(outcome.statuses)}"
    )
    print(
        f"  RSS of the worker: {before / MEBIBYTE:.0f} MiB before, at most {max(seen) / MEBIBYTE:.0f} MiB (to reach: under 450);"
        f" of its decoders afterwards {sum(each.memory_info().rss for each in worker.children()) / MEBIBYTE:.0f} MiB"
    )
    return outcome.failed == 0


def compare_predictions(server: WebServer, predicting: Sequence[bytes], beside: Mapping[str, Sequence[bytes]]) -> bool:
    """Each round has all kinds, the second half of the rounds the other way round."""
    measured: dict[str, list[Outcome[None]]] = {name: [] for name in ("quiet", *beside)}
    print("round  beside   predictions/s   p50 ms   p99 ms  failed   answers to what was beside")
    for number in range(1, ROUNDS + 1):
        for name in measured if number % 2 else reversed(measured):
            answers: Counter[int] = Counter()
            raging = storm(server, beside[name], answers, SENT[name]) if name in beside else ExitStack()
            with raging:
                outcome = predictions(server, predicting)
            measured[name].append(outcome)
            print(row(str(number), name, outcome, answers), flush=True)
    together = {name: all_rounds(outcomes) for name, outcomes in measured.items()}
    for name, outcome in together.items():
        print(row("all", name, outcome, Counter()))
    for name, most in (("solves", 1.3), ("bombs", 1.5)):
        pairs = zip(measured[name], measured["quiet"], strict=True)
        ratios = [ours.percentile(99) / quiet.percentile(99) for ours, quiet in pairs]
        ratio = together[name].percentile(99) / together["quiet"].percentile(99)
        rounds = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
        print(f"p99 under {name} / quiet: {ratio:.2f}  ({rounds})   (to reach: at most {most})", flush=True)
    return not any(outcome.failed for outcomes in measured.values() for outcome in outcomes)


def send_photos(port: int, requests: Sequence[bytes]) -> Counter[int]:
    """The next when one is answered, so that the decoders always have work."""
    step_aside()
    return run(Load(port, requests, PHOTOS, warm_up=0, window=STORM_SECONDS), lambda: None).statuses


def send_bombs(port: int, requests: Sequence[bytes]) -> Counter[int]:
    """As many as are meant, whatever becomes of them."""
    step_aside()
    load = OpenLoad(port, cycle(requests), BOMBS / STORM_SECONDS, warm_up=0, window=STORM_SECONDS)
    return run_open(load, lambda: None).statuses


def step_aside() -> None:
    """What makes the load shares a processor with PostgreSQL and with the clients that are measured."""
    os.nice(19)


SENT = {"solves": send_photos, "bombs": send_bombs}


def solve_requests(tokens: Sequence[str], pictures: Sequence[bytes]) -> list[bytes]:
    """One of each caller, with the pictures in turn."""
    bodies = [json.dumps({"image": b64encode(picture).decode()}).encode() for picture in pictures]
    return [solve_request(token, bodies[number % len(bodies)]) for number, token in enumerate(tokens)]


def solve_request(token: str, body: bytes) -> bytes:
    lines = (
        "POST /api/gateway/solve HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: application/json",
        "User-Agent: MirrorOS/1.0 (iOS)",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def small_png() -> bytes:
    """About 10 kB: a page of formulas, as a scanner or a screenshot has it."""
    page, numbers = Image.new("L", (640, 270), 255), Random(1)
    for line in range(16):
        text = "  ".join(
            f"{numbers.randrange(99)} x + {numbers.randrange(999)} = {numbers.randrange(9999)}" for _ in range(6)
        )
        ImageDraw.Draw(page).text((8, 16 * line + 4), text, fill=0)
    return saved(page, "PNG")


def photo() -> bytes:
    """12 megapixels, with about as much to compress as a photo has."""
    small = Image.frombytes("RGB", (504, 378), Random(1).randbytes(504 * 378 * 3))
    return saved(small.resize((4032, 3024), Image.Resampling.BICUBIC), "JPEG", quality=90)


def bombs() -> list[bytes]:
    """Refused by what they say of themselves, and as large as may be decoded."""
    frame = b"\x2c" + bytes(4) + b"\x01\x00\x01\x00\x00" + b"\x02\x02\x4c\x01\x00"
    gif = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(3) + b"\xff\xff\xff" + frame * 10_000 + b"\x3b"
    webp = [saved(Image.new("RGB", (side, side)), "WEBP", lossless=True, method=0) for side in (4000, 5000)]
    return [png(60_000, bytes(1000)), png(6_300, bytes(6301 * 6300)), gif, *webp]


def png(side: int, content: bytes) -> bytes:
    """Square and grey. It may hold less than it says."""
    head = side.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(content)), (b"IEND", b""))
    whole = (
        len(each).to_bytes(4, "big") + kind + each + zlib.crc32(kind + each).to_bytes(4, "big") for kind, each in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


def saved(image: Image.Image, picture_format: str, **options: object) -> bytes:
    written = BytesIO()
    image.save(written, picture_format, **options)
    return written.getvalue()
