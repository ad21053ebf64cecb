"""Who calls: many users, because each has a burst limit and what is measured are accepted predictions."""

import json
import time
from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import jwt
from flask_migrate import upgrade

from admin.assembled import ASSEMBLED, Assembled
from app import assemble
from auth.device import Device
from auth.models import User
from auth.sessions.open import insert_session
from auth.sessions.token_pair import issue_tokens
from auth.tiers import Tier
from config import load_settings
from database import db, transaction
from database.base import uuid7
from database.schema import MIGRATIONS

HOST = "api.bench.example"
MODEL = "gpt-6-luna"
GOALS = (
    "Run a marathon in under four hours after two years of regular training",
    "Finish the translation of a 300 page novel and find a publisher for it",
    "Save 12,000 euros for a small electric van by putting aside 500 a month",
    "Pass the C1 exam in Portuguese with three evening lessons every week",
)


def plain_tokens(environment: Mapping[str, str], count: int) -> list[str]:
    """HS256 tokens for a callable that looks at nothing but the signature, `sub` and `exp`."""
    expires = int(time.time()) + 900
    key = environment["JWT_SECRET_KEY"]
    return [jwt.encode({"sub": str(uuid4()), "exp": expires}, key, algorithm="HS256") for _ in range(count)]


def gateway_tokens(environment: Mapping[str, str], count: int, tier: Tier) -> list[str]:
    """Access tokens of new users of that tier, made by the application's own code on its own database."""
    settings = load_settings(environment)
    app = assemble(settings)
    made: Assembled = app.extensions[ASSEMBLED]
    auth = made.auth
    now, device = auth.clock(), Device(user_agent="MirrorOS/1.0 (iOS)", ip="127.0.0.1")
    with app.app_context():
        upgrade(directory=str(MIGRATIONS))
        with transaction() as session:
            tokens = []
            for _ in range(count):
                user_id = uuid7()
                email = f"{user_id}@{HOST}"
                session.add(
                    User(id=user_id, email=email, email_key=email, tier=tier.value, created_at=now, updated_at=now)
                )
                session.flush()
                opened = insert_session(
                    session,
                    user_id=user_id,
                    device=device,
                    remember=False,
                    lifetimes=auth.settings.sessions,
                    now=now,
                )
                tokens.append(issue_tokens(opened, auth.access_tokens, auth.refresh_tokens).access_token)
        db.engine.dispose()
    return tokens


def prediction_requests(tokens: Sequence[str]) -> list[bytes]:
    """One prepared `POST /api/gateway/predict` for each token."""
    return [prediction_request(token, GOALS[number % len(GOALS)]) for number, token in enumerate(tokens)]


def prediction_request(token: str, goal: str) -> bytes:
    body = prediction_body(goal)
    lines = (
        "POST /api/gateway/predict HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: application/json",
        "User-Agent: MirrorOS/1.0 (iOS)",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def message_request(token: str, conversation_id: UUID, pieces: int) -> bytes:
    """A prepared `POST /api/gateway/chat/messages` for a stream of so many pieces (bench/token_server.py)."""
    fields = {"conversation_id": str(conversation_id), "content": GOALS[0], "model": MODEL, "max_tokens": pieces}
    body = json.dumps({**fields, "stream": True}).encode()
    lines = (
        "POST /api/gateway/chat/messages HTTP/1.1",
        f"Host: {HOST}",
        f"Authorization: Bearer {token}",
        "Content-Type: application/json",
        "Accept: text/event-stream",
        "User-Agent: MirrorOS/1.0 (iOS)",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def login_requests(addresses: Sequence[str]) -> list[bytes]:
    """One prepared `POST /api/auth/login` from each address, each of an account of its own that does not exist."""
    return [login_request(address) for address in addresses]


def login_request(address: str) -> bytes:
    body = json.dumps({"email": f"{uuid4()}@{HOST}", "password": "tulip orbit canoe"}).encode()
    lines = (
        "POST /api/auth/login HTTP/1.1",
        f"Host: {HOST}",
        f"X-Forwarded-For: {address}",
        "X-Forwarded-Proto: https",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def prediction_body(goal: str) -> bytes:
    return json.dumps(
        {
            "goal": goal,
            "timeframe": "6 months",
            "context": "I have a full-time job, a family and about five hours a week.",
            "options": {"enhanced_grounding": False, "confidence_level": "medium"},
        }
    ).encode()
