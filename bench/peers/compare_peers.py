"""`python -m bench peers`: the floor, the two peers and the gateway in one interleaved table, with the gateway's refusals."""

import secrets
from contextlib import ExitStack

from auth.tiers import Tier
from bench.callers import prediction_requests
from bench.compare import (
    CALLERS,
    CONNECTIONS,
    Contender,
    interleaved,
    nothing_failed,
    speed,
    started,
    work,
)
from bench.load import Load, run
from bench.peers.check import check
from bench.peers.install import install
from bench.peers.targets import PEERS, peer_environment
from bench.processors import Processors
from bench.services import Services, private_server
from bench.targets import Addresses, Target, floor_target, gateway_target
from bench.web_server import WebServer

REFUSED_CALLERS = 100
RATIOS = (
    ("fastapi", "floor"),
    ("fastify", "floor"),
    ("gateway", "floor"),
    ("gateway", "fastapi"),
    ("gateway", "fastify"),
    ("refused", "gateway"),
)
TO_REACH = {
    ("gateway", "fastapi"): "to reach: requests/s at least 1.00, worker ms at most 1.00",
    ("gateway", "fastify"): "to reach: within 1.05",
    ("refused", "gateway"): "to reach: requests/s at least 2.50",
}


def peers(services: Services, processors: Processors, rounds: int) -> bool:
    """Print every round, the medians and the ratios. False when an answer was not as it should be."""
    install()
    secret = secrets.token_urlsafe(48)
    with ExitStack() as stack:
        private_url = stack.enter_context(private_server(secret=secret, delay_ms=0))

        def addresses(name: str, number: int) -> Addresses:
            return Addresses(services.postgres.ensure_database(name), services.redis_url(number), private_url, secret)

        gateway = gateway_target(addresses("gateway", 2))
        jwt_key = gateway.environment["JWT_SECRET_KEY"]
        tokens = gateway.tokens(CALLERS, Tier.ENTERPRISE)
        for place, name in enumerate(PEERS):
            check(name, services, processors, jwt_key=jwt_key, tokens=tokens[2 * place : 2 * place + 2])
            print(f"{name} refuses, signs, verifies and writes as it should", flush=True)
        floor = floor_target(addresses("floor", 1))
        contenders = [started(stack, floor, prediction_requests(floor.tokens(CALLERS, Tier.ENTERPRISE)), processors)]
        requests = prediction_requests(tokens)
        for number, (name, command) in enumerate(PEERS.items(), start=3):
            environment = peer_environment(addresses(name, number), jwt_key=jwt_key, token=tokens[0])
            target = Target(name, command, environment, lambda _count, _tier: tokens)
            contenders.append(started(stack, target, requests, processors))
        contenders.append(started(stack, gateway, requests, processors))
        refused = prediction_requests(gateway.tokens(REFUSED_CALLERS, Tier.FREE))
        use_up_the_day(contenders[-1].server, refused)
        contenders.append(Contender("refused", contenders[-1].server, refused, wanted=429))
        measured = interleaved(services, contenders, rounds)
    print("\nratio                requests/s                       worker ms")
    for ours, theirs in RATIOS:
        pair = f"{ours} / {theirs}"
        reach = TO_REACH.get((ours, theirs), "")
        print(f"{pair:<19}  {speed(measured, ours, theirs):<31}  {work(measured, ours, theirs):<31}  {reach}".rstrip())
    return nothing_failed(measured)


def use_up_the_day(server: WebServer, requests: list[bytes]) -> None:
    """Ask until nothing is accepted any more."""
    load = Load(server.port, requests, CONNECTIONS, warm_up=0, window=1, wanted=429)
    while run(load, lambda: None).failed:
        pass
