"""The smallest application with a database."""

from typing import cast

from flask import Flask
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from database import db, migrate
from database.engine import EngineOptions, engine_options, sqlalchemy_url


class KeptEngine:
    """The engine of a database that stays from test to test. It is warm: connected, with its statements compiled."""

    def __init__(self) -> None:
        self.engine: Engine | None = None
        self.backends: set[int] = set()
        """The processes of PostgreSQL that serve its connections."""

    def shared(self, engine: Engine) -> Engine:
        """The first engine that an application made, for all applications."""
        if self.engine is None:
            self.engine = engine
            event.listen(engine, "connect", lambda connection, _record: self.backends.add(connection.info.backend_pid))
        return self.engine

    def rest(self) -> None:
        """After a test: what it left open or broken is not for the next one."""
        if self.engine is None:
            return
        try:
            idle = [self.engine.connect() for _ in range(self.engine.pool.checkedin())]  # type: ignore[attr-defined]
            for connection in idle:
                connection.exec_driver_sql("SELECT 1")
                connection.close()
            clean = self.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
        except DBAPIError:
            clean = False
        if not clean:
            self.dispose()

    def dispose(self) -> None:
        if self.engine is not None:
            self.engine.dispose()
        self.backends.clear()


kept_engines: dict[str, KeptEngine] = {}
"""By the URL of the database. See `tests.databases.MigratedDatabases.kept`."""


def bare_app(url: str) -> Flask:
    """An application with a database and nothing else."""
    app = Flask("bare")
    app.config["SQLALCHEMY_DATABASE_URI"] = sqlalchemy_url(url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(EngineOptions(application_name="mirroros-test"))
    db.init_app(app)
    migrate.init_app(app, db)
    if kept := kept_engines.get(url):
        with app.app_context():
            engines = cast(dict[str | None, Engine], db.engines)
            engines[None] = kept.shared(db.engine)
    return app


def disconnect(app: Flask) -> None:
    """The application of a test is not used any more."""
    with app.app_context():
        if all(kept.engine is not db.engine for kept in kept_engines.values()):
            db.engine.dispose()
