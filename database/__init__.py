"""The database holder. Flask-SQLAlchemy keeps the engine and the session; models stand on our own `Base`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Flask, current_app
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.orm import Session

from database.base import Base
from database.engine import EngineOptions, engine_options, sqlalchemy_url
from database.reports import REPORTS, Reports

db = SQLAlchemy(metadata=Base.metadata)
migrate = Migrate(directory="migrations")
DIRECT = "direct"
"""The engine of `DATABASE_DIRECT_URL`."""


def configure_database(
    app: Flask, url: str, options: EngineOptions, *, direct_url: str | None = None, replica_url: str | None = None
) -> None:
    """Connects to nothing. `direct_url`: of PostgreSQL itself, where `url` leads to PgBouncer. Reports are read from
    `replica_url` where there is one.
    """
    app.extensions[REPORTS] = Reports(direct_url or url, replica_url)
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


@contextmanager
def reading_report() -> Iterator[Session]:
    """`reading` for reports: from the replica where there is one, else from the primary, on connections of their own, which write
    nothing and may take half a minute. What a replica says may be seconds old.
    """
    reports: Reports = current_app.extensions[REPORTS]
    with reports.reading() as session:
        yield session


def _begun() -> Session:
    session = db.session()
    if session.in_transaction():
        raise NestedTransaction
    session.begin()  # no connection is taken before the first statement
    return session
