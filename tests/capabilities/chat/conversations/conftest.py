from collections.abc import Iterator

import pytest

from app import assemble
from config import load_settings
from database import db
from tests.capabilities.chat.conversations.chats import Chats, Person, Talk
from tests.databases import MigratedDatabases
from tests.whole.environment import production_environment


@pytest.fixture(scope="package")
def chats(migrated_databases: MigratedDatabases) -> Iterator[Chats]:
    """Shared by the tests of this folder: each has people of its own."""
    with migrated_databases.one() as url:
        environ = {
            **production_environment(url, "http://127.0.0.1:9"),
            "FLASK_ENV": "development",
            "BCRYPT_COST": "4",
            "CAPABILITIES": "chat",
            "CHAT_RETENTION_DAYS": "30",
        }
        app = assemble(load_settings(environ))
        yield Chats(app)
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def alice(chats: Chats) -> Person:
    return chats.register()


@pytest.fixture
def bob(chats: Chats) -> Person:
    return chats.register()


@pytest.fixture(scope="package")
def talker(chats: Chats) -> Talk:
    """For requests that are refused, and so change nothing of it."""
    return chats.register().begins()
