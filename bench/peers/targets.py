"""How the peers are started. Both read one environment, and both take the gateway's access tokens."""

from collections.abc import Mapping
from typing import Final

import jwt

from bench.peers.install import HERE, NODE, PYTHON
from bench.targets import Addresses, Command, create_log_table

DAY_LIMIT = 1_000_000


def fastapi(fd: int) -> tuple[str, ...]:
    return (str(PYTHON), "-m", "bench.peers.fastapi_server", str(fd))


def fastify(fd: int) -> tuple[str, ...]:
    return (str(NODE), str(HERE / "fastify_server.mjs"), str(fd))


PEERS: Final[Mapping[str, Command]] = {"fastapi": fastapi, "fastify": fastify}


def peer_environment(addresses: Addresses, *, jwt_key: str, token: str, day_limit: int = DAY_LIMIT) -> dict[str, str]:
    """`token`: one of the gateway's, which says whose tokens are taken. Creates the peer's table."""
    create_log_table(addresses.database_url)
    claims = jwt.decode(token, options={"verify_signature": False})
    return {
        "NODE_ENV": "production",
        "JWT_SECRET_KEY": jwt_key,
        "JWT_ISSUER": claims["iss"],
        "JWT_AUDIENCE": claims["aud"],
        "DATABASE_URL": addresses.database_url,
        "REDIS_URL": addresses.redis_url,
        "PRIVATE_API_URL": addresses.private_api_url,
        "PRIVATE_API_SECRET": addresses.private_api_secret,
        "DAY_LIMIT": str(day_limit),
    }
