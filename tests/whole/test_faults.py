"""Image solving, chat and a shop while providers, Stripe, Redis, PostgreSQL, web processes and the worker fail by chance: in the
end all books agree.

`make soak` lets it run for ten minutes. FAULT_SEED repeats the faults of a run that failed, though not its timing.
"""

import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from flask_migrate import upgrade

from database import db
from examples.private_server.server import PrivateServer
from sandbox.ai_server.server import AIServer
from sandbox.postgres import EmbeddedPostgres
from sandbox.stripe_server.development_prices import add_development_prices
from sandbox.stripe_server.server import StripeServer
from sandbox.valkey import EmbeddedValkey
from tests.bare_app import bare_app
from tests.conftest import administer
from tests.databases import ask
from tests.metering.limit_backends import eventually
from tests.whole import buying, chatting, solving
from tests.whole.books import Books, end_what_died
from tests.whole.buying import Buying
from tests.whole.chatting import Chatting
from tests.whole.conftest import StartWebServer
from tests.whole.environment import ALL, ai_environment, production_environment, stripe_environment
from tests.whole.faults import Faults
from tests.whole.players import Players
from tests.whole.real_worker import RealWorker
from tests.whole.shop_books import ShopBooks, settle
from tests.whole.solving import Solving

SECONDS = float(os.environ.get("FAULT_SECONDS", "60"))
SEED = int(os.environ.get("FAULT_SEED", "0")) or secrets.randbelow(2**31) + 1
OF_EACH = 4
"""Customers of each product at once."""
ANSWERS = {200, 201, 409, 422, 429, 502, 503, 504}
"""Never a 500. 409: a client's key is still held by the process that was killed."""


@pytest.fixture
def own_database(own_postgres: EmbeddedPostgres) -> Iterator[str]:
    url = own_postgres.url()
    with bare_app(url).app_context():
        upgrade()
        db.engine.dispose()
    yield url


@pytest.fixture
def ai() -> Iterator[AIServer]:
    server = AIServer(usual=chatting.USUAL)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stripe() -> Iterator[StripeServer]:
    """It tells of payments by itself."""
    server = StripeServer()
    add_development_prices(server)
    server.start(deliver_automatically=True)
    yield server
    server.stop()


@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS + 240)
def test_all_books_agree_after_whatever_failed(
    *,
    start_web_server: StartWebServer,
    own_postgres: EmbeddedPostgres,
    own_database: str,
    own_valkey: EmbeddedValkey,
    private: PrivateServer,
    ai: AIServer,
    stripe: StripeServer,
    tmp_path: Path,
) -> None:
    environ = {
        **production_environment(own_database, private.url, own_valkey.url),
        **ai_environment(ai),
        "GOOGLE_API_KEY": ai.keys["google"],
        "GOOGLE_BASE_URL": ai.base_url("google"),
        "OPENAI_TIMEOUT_S": str(solving.PROVIDER_SECONDS),
        "CHAT_IDLE_TIMEOUT_S": str(chatting.IDLE_SECONDS),
        "CHAT_REPLY_TIMEOUT_S": "6",
        "CHAT_DRAIN_S": "2",
        "BILLING_MAX_OPEN_CENTS": "none",
        **stripe_environment(stripe),
        "CAPABILITIES": ALL,
        "FLASK_ENV": "development",
    }
    server, worker = start_web_server(environ), RealWorker(environ, tmp_path)
    worker.start()
    people = [server.register(f"person-{number}") for number in range(OF_EACH + round(SECONDS / 6))]
    administer(own_database, "UPDATE users SET tier = 'enterprise'")
    over = threading.Event()
    stripe.outbox.url = f"http://127.0.0.1:{server.port}/api/payments/stripe/webhook"
    staff = server.register("admin")
    products = buying.open_shop(server, staff, own_database)
    chats, buyers = Chatting(people, over), Buying(people, over, products, staff)
    players: tuple[Players, ...] = (Solving(people, over), chats, buyers)
    faults = Faults(
        Random(SEED),
        (*solving.TROUBLES, *chatting.TROUBLES),
        buying.TROUBLES,
        ai,
        stripe,
        own_valkey,
        own_postgres,
        server,
        worker,
    )
    try:
        with ThreadPoolExecutor(OF_EACH * len(players)) as threads:
            running = [
                threads.submit(each.play, server, Random(SEED + number))
                for number in range(OF_EACH)
                for each in players
            ]
            try:
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    threading.Event().wait(faults.chance.uniform(0.1, 1))
                    faults.strike()
            finally:
                over.set()
                sys.stdout.write(f"FAULT_SEED={SEED}\n{dict(faults.done)}\n")
                sys.stdout.writelines(f"{type(each).__name__}: {dict(each.answers)}\n" for each in players)
            for each in running:
                each.result()
        living = [each.pid for each in server.workers()]
        theirs = f"split_part(owner, ':', 2)::int = ANY (ARRAY{living})"
        assert eventually(lambda: ask(own_database, f"SELECT 1 FROM chat_messages WHERE {theirs}") == [] or None, 60)
        settle(own_database, stripe, worker)
    finally:
        worker.stop()
    end_what_died(own_database, living)
    said = {answer for each in players for answer in each.answers}
    for answer in said - {"connection lost", buying.DECLINED}:
        assert int(answer.split()[0]) in ANSWERS, answer
        assert "internal_error" not in answer
    sold = ShopBooks.of(own_database, stripe)
    sold.assert_nothing_is_oversold()
    sold.assert_money_is_where_it_belongs()
    sold.assert_buyers_were_told_the_truth(buyers.placed)
    books = Books.of(own_database, ai.books.billed)
    books.assert_the_log_agrees({each for player in players for each in player.delivered})
    books.assert_the_provider_agrees()
    books.assert_replies_agree()
    books.assert_texts_are_the_providers(chats.replies)
    books.assert_replies_can_be_read(server, chats, faults.chance)
    for person in people:
        books.assert_counters_agree(person)
        books.assert_usage_agrees(server, person)
