"""Where the realtime process is, as the settings say."""

import pytest

from config import SettingsInvalid, load_settings
from tests.test_config import production


def test_in_development_it_has_a_port_of_its_own() -> None:
    settings = load_settings({})
    assert (settings.realtime_port, settings.sockets_url) == (8001, "http://localhost:8001")
    assert load_settings({"REALTIME_PORT": "9001"}).sockets_url == "http://localhost:9001"


def test_in_production_it_is_reached_by_a_path_of_the_api() -> None:
    settings = load_settings(production())
    assert (settings.realtime_port, settings.sockets_url) == (8001, settings.public_base_url)


def test_on_a_platform_it_listens_where_the_platform_asks() -> None:
    settings = load_settings({**production(), "RAILWAY_ENVIRONMENT": "production", "PORT": "7000"})
    assert settings.realtime_port == 7000
    both = {**production(), "RAILWAY_ENVIRONMENT": "production", "PORT": "7000", "REALTIME_PORT": "7001"}
    assert load_settings(both).realtime_port == 7001


def test_production_has_no_sockets_in_the_open() -> None:
    with pytest.raises(SettingsInvalid, match="REALTIME_PUBLIC_URL must begin with https://"):
        load_settings({**production(), "REALTIME_PUBLIC_URL": "http://realtime.example.com"})
