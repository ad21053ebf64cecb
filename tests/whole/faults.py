"""What fails by chance beneath a running service: one after another, each mended before the next."""

import signal
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import psutil

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import AIServer
from sandbox.postgres import EmbeddedPostgres
from sandbox.stripe_server.protocol.faults import Trouble
from sandbox.stripe_server.server import StripeServer
from sandbox.valkey import EmbeddedValkey
from tests.metering.limit_backends import eventually
from tests.whole.real_worker import RealWorker
from tests.whole.web_server import WebServer


@dataclass
class Faults:
    """Who is struck and for how long is by chance, too. `troubles`: those of a provider, and `stripe_troubles` of Stripe."""

    chance: Random
    troubles: Sequence[NextAnswer]
    stripe_troubles: Sequence[Trouble]
    ai: AIServer
    stripe: StripeServer
    valkey: EmbeddedValkey
    postgres: EmbeddedPostgres
    server: WebServer
    worker: RealWorker
    done: Counter[str] = field(default_factory=Counter)

    def strike(self) -> None:
        kinds = {
            self.provider_in_trouble: 10,
            self.provider_away: 1,
            self.stripe_in_trouble: 4,
            self.stripe_away: 1,
            self.redis_killed: 2,
            self.postgres_stopped: 2,
            self.process_killed: 2,
            self.processes_replaced: 1,
            self.worker_killed: 1,
        }
        (fault,) = self.chance.choices(list(kinds), weights=list(kinds.values()))
        self.done[fault.__name__] += 1
        fault()

    def provider_in_trouble(self) -> None:
        self.ai.next.add(self.chance.choice(self.troubles), times=self.chance.randint(1, 4))
        eventually(lambda: self.ai.next.waiting == 0 or None, 30)

    def provider_away(self) -> None:
        self.ai.stop()
        self._rest(1.5)
        self.ai.start()

    def stripe_in_trouble(self) -> None:
        """Of one kind at a time. Webhooks are lost for good, and come twice."""
        self.stripe.faults.add(self.chance.choice(self.stripe_troubles), times=self.chance.randint(1, 3))
        self.stripe.outbox.drop_next(self.chance.randint(0, 2))
        self.stripe.outbox.copies = self.chance.randint(1, 2)

    def stripe_away(self) -> None:
        self.stripe.stop()
        self._rest(1.5)
        self.stripe.start(deliver_automatically=True)

    def redis_killed(self) -> None:
        self.valkey.kill()
        self._rest(1.5)
        self.valkey.start()

    def postgres_stopped(self) -> None:
        self.postgres.stop()
        self._rest(2.5)
        self.postgres.start()

    def process_killed(self) -> None:
        victim = self.chance.choice(eventually(self.server.workers))
        victim.kill()
        eventually(lambda: len(self.server.workers()) == self.server.processes or None, 60)

    def worker_killed(self) -> None:
        self.worker.kill()
        self._rest(1.5)
        self.worker.start()

    def processes_replaced(self) -> None:
        before = {each.pid for each in self.server.workers()}
        self.server.send_signal(signal.SIGHUP)
        eventually(lambda: not any(map(psutil.pid_exists, before)) or None, 120)
        eventually(lambda: len(self.server.workers()) == self.server.processes or None, 60)

    def _rest(self, most_seconds: float) -> None:
        threading.Event().wait(self.chance.uniform(0.1, most_seconds))
