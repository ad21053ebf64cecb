"""The database holder. Flask-SQLAlchemy keeps the engine and the session; models stand on our own `Base`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from database.base import Base
from database.engine import EngineOptions, engine_options, sqlalchemy_url

db = SQLAlchemy(metadata=Base.metadata)
migrate = Migrate(directory="migrations")
DIRECT = "direct"
"""The engine of `DATABASE_DIRECT_URL`."""


def configure_database(app: Flask, url: str, options: EngineOptions, direct_url: str | None = None) -> None:
    """Connects to nothing."""
    app.config["SQLALCHEMY_DATABASE_URI"] = sqlalchemy_url(url)
    if direct_url is not None:
        direct = engine_options(replace(options, pooled=False))
        app.config["SQLALCHEMY_BINDS"] = {DIRECT: {"url": sqlalchemy_url(direct_url), **direct}}
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(options)
    db.init_app(app)
    migrate.init_app(app, db)


class NestedTransaction(RuntimeError):
    """A block of `transaction` or `reading` began inside another one. Hand the outer block's session on instead.

    The session is one, so the inner block would commit, or throw away, what the outer one has not finished.
    """


@contextmanager
def transaction() -> Iterator[Session]:
    """The only commit in the system: commits at the end of the block, rolls back when it raises.

    The connection goes back to the pool at once, so that nothing holds one while it calls another server.
    Raises NestedTransaction.
    """
    session = _begun()
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        db.session.remove()  # or each thread of the web server would keep one


@contextmanager
def reading() -> Iterator[Session]:
    """A block that only reads. Nothing is committed; the connection goes back to the pool at its end.

    Raises NestedTransaction.
    """
    session = _begun()
    try:
        yield session
    finally:
        db.session.remove()


def _begun() -> Session:
    session = db.session()
    if session.in_transaction():
        raise NestedTransaction
    session.begin()  # no connection is taken before the first statement
    return session
