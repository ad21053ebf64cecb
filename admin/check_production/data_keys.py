"""What is sealed in the database can be opened with the keys of this process."""

from collections.abc import Iterator

from flask import Flask
from sqlalchemy import select

from auth.data_keys import DataKeys, SealedValueUnreadable
from auth.second_factor.models import TotpSecret
from database import reading
from settings.production_check import ProductionCheck, Shortcoming

TRIED = 100
"""Of the oldest and of the newest: a key that is gone was the first one, one that was typed wrong is the last one."""


def data_keys_check(app: Flask, keys: DataKeys) -> ProductionCheck:
    right = "Second factors can be opened with DATA_KEYS and SECRET_KEY."
    return ProductionCheck("data keys", right, lambda: find(app, keys), needs="migrations")


def find(app: Flask, keys: DataKeys) -> Iterator[Shortcoming]:
    tried = select(TotpSecret.user_id, TotpSecret.sealed_secret).limit(TRIED)
    with app.app_context(), reading() as session:
        sealed = {
            user_id: secret
            for order in (TotpSecret.created_at, TotpSecret.created_at.desc())
            for user_id, secret in session.execute(tried.order_by(order))
        }
    closed = [secret for user_id, secret in sealed.items() if not opens(keys, secret, user_id.bytes)]
    if closed:
        names = sorted({secret.partition(b":")[0].decode(errors="replace") for secret in closed})
        yield Shortcoming(
            f"Second factors that cannot be opened: {len(closed)} of {len(sealed)}; their keys: {', '.join(names)}.",
            "Add the missing keys to DATA_KEYS. Key 0 is derived from SECRET_KEY, so that one has changed.",
        )


def opens(keys: DataKeys, sealed: bytes, owner: bytes) -> bool:
    try:
        keys.open(sealed, owner)
    except SealedValueUnreadable:
        return False
    return True
