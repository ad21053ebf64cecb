"""Bodies above what is kept until it is whole: their thread reads them, once the caller was admitted and has a slot."""

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from hashlib import sha256
from pathlib import Path

import psutil
import pytest

from security.api.request_bodies import LARGEST_BODY
from security.edge.arriving_request import LARGEST_KEPT_BODY
from tests.toy_api import PHOTO_SLOTS
from tests.toy_web_server import ToyServer, connect, received, toy_server, wait_until

pytestmark = pytest.mark.slow

SIGNED_IN = b"Authorization: Bearer good"
IMAGE = b"a" * 3_000_000
DOCUMENT = b'{"image":"' + IMAGE + b'"}'
DIGEST = sha256(IMAGE).hexdigest().encode()
NEXT = b"GET /toy/wishes HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /toy/wishes HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SMALL = b'{"image":"small"}'
IMPATIENT = "CLIENT_LIMITS = replace(CLIENT_LIMITS, patience=replace(CLIENT_LIMITS.patience, body=1, late_body=2))"


def photo(*headers: bytes, body: bytes = b"", version: bytes = b"1.1", signed_in: bytes = SIGNED_IN) -> bytes:
    head = [b"POST /toy/photos HTTP/" + version, b"Host: a", b"Content-Type: application/json", signed_in, *headers]
    return b"\r\n".join([*head, b"", body])


def length(size: int) -> bytes:
    return b"Content-Length: %d" % size


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def chunked(document: bytes, size: int = 100_000) -> bytes:
    pieces = [document[begin : begin + size] for begin in range(0, len(document), size)]
    return b"".join(map(chunk, [*pieces, b""]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with toy_api_server(tmp_path_factory.mktemp("large")) as running:
        yield running


@pytest.fixture(scope="module")
def impatient_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToyServer]:
    with toy_api_server(tmp_path_factory.mktemp("impatient"), IMPATIENT) as running:
        yield running


def toy_api_server(folder: Path, configuration: str = "") -> AbstractContextManager[ToyServer]:
    return toy_server(folder, configuration, application="tests.toy_api:toy_app()", WEB_THREADS="16")


@pytest.fixture
def clients() -> Iterator[ExitStack]:
    with ExitStack() as open_connections:
        yield open_connections


def statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def exchange(server: ToyServer, *sent: bytes) -> bytes:
    with connect(server.port) as connection:
        for piece in sent:
            connection.sendall(piece)
        return received(connection)


def error_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return statuses(head)[0], json.loads(body)["error"]


def begin_upload(server: ToyServer, clients: ExitStack) -> socket.socket:
    """One whose thread waits for the rest."""
    connection = clients.enter_context(connect(server.port))
    connection.sendall(photo(length(len(DOCUMENT)), b"Expect: 100-continue"))
    assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    return connection


@pytest.mark.parametrize("size", [1, 16 * 1024, 1_000_000], ids=["bytes at first", "pieces", "all at once"])
def test_one_of_announced_length_is_read_and_its_connection_used_again(server: ToyServer, size: int) -> None:
    first = photo(length(len(DOCUMENT)), body=DOCUMENT[:size])
    answer = exchange(server, first, DOCUMENT[size:], photo(length(len(SMALL)), body=SMALL), LAST)
    assert statuses(answer) == [200, 200, 200]
    assert DIGEST in answer
    assert b'"size":5' in answer


def test_another_large_one_may_follow(server: ToyServer) -> None:
    announced = photo(length(len(DOCUMENT)), body=DOCUMENT)
    in_chunks = photo(b"Transfer-Encoding: chunked", body=chunked(DOCUMENT))
    answer = exchange(server, announced, announced, in_chunks, in_chunks, announced, LAST)
    assert statuses(answer) == [200] * 6
    assert answer.count(DIGEST) == 5


def test_what_follows_in_the_same_piece_is_the_next_request(server: ToyServer) -> None:
    answer = exchange(server, photo(length(len(DOCUMENT)), body=DOCUMENT + LAST))
    assert statuses(answer) == [200, 200]


@pytest.mark.parametrize("size", [1000, 100_000, len(DOCUMENT)])
def test_one_in_chunks_is_read_and_its_connection_used_again(server: ToyServer, size: int) -> None:
    """As of curl with `-T -`, of URLSession's upload streams, and of proxies that pass HTTP/2 on."""
    sent = photo(b"Transfer-Encoding: chunked", body=chunked(DOCUMENT, size))
    answer = exchange(server, sent[:30_000], sent[30_000:] + LAST)
    assert statuses(answer) == [200, 200]
    assert DIGEST in answer


def test_of_http_1_0_it_is_read_and_its_connection_closed(server: ToyServer) -> None:
    answer = exchange(server, photo(length(len(DOCUMENT)), version=b"1.0", body=DOCUMENT))
    assert (statuses(answer), DIGEST in answer) == ([200], True)


def test_a_form_is_read(server: ToyServer) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + IMAGE + b"\r\n--b--\r\n"
    sent = photo(length(len(form)), b"Connection: close", body=form).replace(
        b"application/json", b"multipart/form-data; boundary=b"
    )
    assert DIGEST in exchange(server, sent)


def test_the_client_is_told_to_go_on_when_the_reading_begins(server: ToyServer, clients: ExitStack) -> None:
    connection = begin_upload(server, clients)
    connection.sendall(DOCUMENT)
    connection.sendall(LAST)
    answer = received(connection)
    assert statuses(answer) == [200, 200]


@pytest.mark.parametrize(
    ("head", "status", "error"),
    [
        pytest.param(photo(length(len(DOCUMENT)), signed_in=b"X-A: b"), 401, "not_signed_in", id="not signed in"),
        pytest.param(photo(length(LARGEST_BODY + 1)), 413, "body_too_large", id="too large"),
        pytest.param(photo(length(10**15)), 413, "body_too_large", id="a petabyte"),
        pytest.param(
            photo(length(len(DOCUMENT))).replace(b"application/json", b"image/png"),
            415,
            "unsupported_media_type",
            id="not taken",
        ),
        pytest.param(photo(length(3_000_000)).replace(b"photos", b"wishes"), 413, "body_too_large", id="small route"),
        pytest.param(photo(length(3_000_000)).replace(b"photos", b"none"), 404, "not_found", id="no route"),
    ],
)
def test_who_is_refused_gets_the_answer_without_having_been_read(
    server: ToyServer, head: bytes, status: int, error: str
) -> None:
    """The client goes on sending, and what it sends is no next request."""
    answer = exchange(server, head, NEXT * 5000)
    assert error_of(answer) == (status, error)
    assert len(statuses(answer)) == 1
    assert b"Connection: close" in answer
    waiting = exchange(server, head.replace(b"Host: a", b"Host: a\r\nExpect: 100-continue"))
    assert statuses(waiting) == [status]


@pytest.mark.parametrize("path", [b"photos", b"wishes"])
def test_one_in_chunks_above_the_limit_is_413(server: ToyServer, path: bytes) -> None:
    endless = photo(b"Transfer-Encoding: chunked", body=chunk(b'{"image":"')).replace(b"photos", path)
    with connect(server.port) as connection:
        connection.sendall(endless)
        with suppress(OSError):  # it closes while we still send
            for _ in range(30):
                connection.sendall(chunk(b"a" * 1_000_000))
        answer = received(connection)
    assert error_of(answer) == (413, "body_too_large")
    assert len(statuses(answer)) == 1


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(photo(length(len(DOCUMENT)), body=DOCUMENT[:-1]), id="shorter than announced"),
        pytest.param(photo(length(len(DOCUMENT))), id="no body"),
        pytest.param(photo(b"Transfer-Encoding: chunked", body=chunked(DOCUMENT)[:-5]), id="no last chunk"),
        pytest.param(
            photo(b"Transfer-Encoding: chunked", body=chunked(DOCUMENT)[:-7] + b"XX" + NEXT), id="no line end"
        ),
        pytest.param(
            photo(b"Transfer-Encoding: chunked", body=chunked(DOCUMENT)[:-5] + b"0x1\r\na\r\n0\r\n\r\n" + NEXT),
            id="hexadecimal prefix",
        ),
        pytest.param(
            photo(b"Transfer-Encoding: chunked", body=chunked(DOCUMENT)[:-2] + b"A b: c\r\n\r\n" + NEXT),
            id="broken trailer",
        ),
        pytest.param(photo(b"Transfer-Encoding: chunked", length(9), body=chunked(DOCUMENT)), id="two lengths"),
    ],
)
def test_a_length_that_lies_is_400_and_nothing_after_it_is_read(server: ToyServer, sent: bytes) -> None:
    with connect(server.port) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = received(connection)
    assert statuses(answer) == [400]


def test_one_that_is_longer_than_announced_ends_where_it_was_to(server: ToyServer) -> None:
    """The rest is a request of its own, and no good one."""
    answer = exchange(server, photo(length(len(DOCUMENT)), body=DOCUMENT + b"aa"), NEXT)
    assert statuses(answer) == [200, 400]
    assert answer.index(b" 200 ") < answer.index(b" 400 ")


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(b"a", id="too slow"),
        pytest.param(b"a" * 10_000, id="too long in all", marks=pytest.mark.slow),
    ],
)
def test_one_that_trickles_in_is_408(impatient_server: ToyServer, clients: ExitStack, piece: bytes) -> None:
    connection = begin_upload(impatient_server, clients)
    connection.settimeout(0.2)
    answer, end = b"", time.monotonic() + 10
    while not answer and time.monotonic() < end:
        try:
            answer = connection.recv(65536)
        except TimeoutError:
            connection.sendall(piece)
    connection.settimeout(10)
    assert error_of(answer + received(connection)) == (408, "request_timeout")


def test_uploads_do_not_take_the_threads_of_others(server: ToyServer, clients: ExitStack) -> None:
    """Of 16 threads 4 read and 4 wait for a slot; the others are refused, and everybody else is served."""
    for _ in range(PHOTO_SLOTS):
        begin_upload(server, clients)
    with ThreadPoolExecutor(24) as pool:
        asked = [pool.submit(exchange, server, photo(length(len(DOCUMENT)))) for _ in range(24)]
        assert statuses(exchange(server, LAST)) == [200]
        refused = [each.result() for each in asked]
    assert {error_of(answer) for answer in refused} == {(503, "too_busy")}
    assert all(b"Retry-After: 2\r\n" in answer for answer in refused)


def test_the_slot_is_free_again_after_every_end(server: ToyServer, clients: ExitStack) -> None:
    for _ in range(PHOTO_SLOTS + 1):
        begin_upload(server, clients).close()
    for _ in range(PHOTO_SLOTS + 1):
        assert statuses(exchange(server, photo(length(5), b"Connection: close", body=b"{]}  "))) == [400]
    for _ in range(PHOTO_SLOTS + 1):
        assert statuses(exchange(server, photo(length(len(DOCUMENT)), b"Connection: close", body=DOCUMENT))) == [200]


def test_the_slowest_upload_gives_way_to_who_comes(server: ToyServer, clients: ExitStack) -> None:
    slow = [begin_upload(server, clients) for _ in range(PHOTO_SLOTS)]

    def answered() -> bool:
        return statuses(exchange(server, photo(length(len(SMALL)), b"Connection: close", body=SMALL))) == [200]

    wait_until(answered, server.log)
    assert error_of(received(slow[0])) == (503, "too_busy")
    slow[-1].sendall(DOCUMENT)
    assert statuses(slow[-1].recv(65536)) == [200]


@pytest.mark.slow
def test_one_in_progress_is_finished_after_sigterm(tmp_path: Path) -> None:
    with toy_api_server(tmp_path) as server, ExitStack() as clients:
        connection = begin_upload(server, clients)
        connection.sendall(DOCUMENT[:100_000])
        server.process.terminate()

        def refuses() -> bool:
            try:
                connect(server.port).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(refuses, server.log)
        connection.sendall(DOCUMENT[100_000:])
        assert DIGEST in received(connection)
        assert server.process.wait(timeout=20) == 0


@pytest.mark.slow
def test_1000_uploads_at_once_are_not_in_memory(tmp_path: Path) -> None:
    """Of 20 MB each, by users that are signed in. Other requests go on, and what is read is what the slots allow."""
    uploads, head = 1000, photo(length(LARGEST_BODY), b"X-A: b")
    with toy_api_server(tmp_path) as server, ExitStack() as clients:
        (worker,) = psutil.Process(server.process.pid).children()
        before = most = worker.memory_info().rss
        connections = []
        for number in range(uploads):
            connection = clients.enter_context(connect(server.port, f"127.0.0.{2 + number % 200}"))
            connection.sendall(head)
            connection.setblocking(False)
            connections.append(connection)
        others, end = 0, time.monotonic() + 10
        while time.monotonic() < end:
            for connection in connections:
                with suppress(OSError):
                    connection.send(b"a" * 65536)
            assert statuses(exchange(server, LAST)) == [200]
            others += 1
            most = max(most, worker.memory_info().rss)
        assert others >= 10
        assert most - before < 64 * 1024 * 1024 + 3 * PHOTO_SLOTS * LARGEST_BODY
        assert worker.is_running()
        assert "Traceback" not in server.log.read_text()


assert LARGEST_KEPT_BODY < len(DOCUMENT) < LARGEST_BODY
