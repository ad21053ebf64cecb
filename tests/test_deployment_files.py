"""The files that platforms read: they are valid, agree with one another, and the web server behaves as they promise."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from click.testing import CliRunner
from flask.cli import FlaskGroup
from redis import AuthenticationError, Redis

from app import create_app
from capabilities import CAPABILITIES
from config import load_settings, settings_with
from sandbox.ports import free_port
from sandbox.valkey import find_binary
from security.api.request_bodies import LARGEST_BODY
from settings.check import longest_request
from tests.test_config import production
from tests.toy_web_server import IMPATIENT, answers, exchange, post, received, toy_server, wait_until
from web_worker import Patience

ROOT = Path(__file__).parents[1]
VARIABLES = {name.upper() for name in settings_with(CAPABILITIES).model_fields}


@cache
def document(name: str) -> Any:
    text = (ROOT / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else yaml.safe_load(text)


def services(file: str = "docker-compose.yml") -> dict[str, Any]:
    found: dict[str, Any] = document(file)["services"]
    return found


PRODUCTION = "docker-compose.prod.yaml"
BOTH = pytest.mark.parametrize("file", ["docker-compose.yml", PRODUCTION])


def filled_in(text: str, values: dict[str, str]) -> str:
    """As compose does it. Raises KeyError for what must be set."""

    def fill(found: re.Match[str]) -> str:
        name, form, default = found["name"], found["form"], found["default"] or ""
        if form == ":?":
            return values[name]
        return default if (form == ":+") == bool(values.get(name)) else values.get(name, "")

    return re.sub(r"\$\{(?P<name>[A-Z0-9_]+)(?P<form>:[?+-])?(?P<default>[^}]*)\}", fill, text)


class TestFiles:
    def test_compose_has_the_services_that_the_readme_names(self) -> None:
        assert {"db", "redis", "api", "worker", "realtime", "release", "private-server", "proxy"} <= services().keys()

    def test_compose_publishes_databases_and_monitoring_on_loopback_alone(self) -> None:
        for name in ("db", "redis", "prometheus", "grafana", "adminer", "mail"):
            assert all(port.startswith("127.0.0.1:") for port in services()[name]["ports"])

    def test_compose_reaches_the_application_through_the_proxy_alone(self) -> None:
        published = {name for name, service in services().items() if "ports" in service}
        assert published == {"proxy", "db", "redis", "prometheus", "grafana", "adminer", "mail"}

    def test_compose_has_tools_for_development_that_start_only_when_they_are_wanted(self) -> None:
        tools = {name: service["ports"] for name, service in services().items() if service.get("profiles") == ["tools"]}
        assert tools == {
            "adminer": ["127.0.0.1:8090:8080"],
            "mail": ["127.0.0.1:1025:1025", "127.0.0.1:1080:8025"],
        }
        assert all(":" in services()[name]["image"] for name in tools), "a named version"

    @BOTH
    def test_compose_has_a_second_web_server_for_the_time_in_which_the_first_is_replaced(self, file: str) -> None:
        first, second = services(file)["api"], services(file)["api-2"]
        assert {**second, "networks": first["networks"]} == first
        assert services(file)["proxy"]["environment"]["WEB_SERVERS"] == "api:8000 api-2:8000"
        assert "{$WEB_SERVERS}" in (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
        assert "/health/ready" in str(first["healthcheck"])

    @BOTH
    def test_compose_knows_the_web_servers_by_their_former_names_too(self, file: str) -> None:
        aliases = {name: services(file)[name]["networks"]["default"]["aliases"] for name in ("api", "api-2")}
        assert aliases == {"api": ["web"], "api-2": ["web-2"]}
        asked = document("deploy/monitoring/prometheus.yml")["scrape_configs"][0]["dns_sd_configs"][0]["names"]
        assert asked == ["api", "api-2"]

    @BOTH
    def test_compose_sets_only_variables_that_exist(self, file: str) -> None:
        for name in ("api", "worker", "realtime", "release"):
            assert services(file)[name]["environment"].keys() <= VARIABLES

    @pytest.mark.parametrize("name", ["api", "worker"])
    def test_compose_passes_the_mail_server_on_and_gives_letters_of_a_newcomer_a_place(self, name: str) -> None:
        service = services()[name]
        assert {"EMAIL_HOST", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD", "DEFAULT_FROM_EMAIL"} <= service[
            "environment"
        ].keys()
        # The file system is read-only, and what is not set becomes a file in `.data/mail` below the image's folder.
        assert service["read_only"] and "/app/.data" in service["tmpfs"]
        assert re.search(r"^WORKDIR /app$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)

    def test_the_commands_of_the_guide_name_services_and_files_that_exist(self) -> None:
        guide = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
        named = re.findall(r"docker-compose(?: -f \S+)? (?:run|exec|up|logs)((?: -[\w-]+)*)((?: [a-z][\w-]*)?)", guide)
        assert {service.strip() for _, service in named if service} >= {"release", "api", "api-2", "worker"}
        assert {service.strip() for _, service in named if service} <= services().keys()
        files = set(re.findall(r"deploy/[\w@./-]+\w", guide))
        assert {"deploy/nginx.conf", "deploy/mirroros-web@.service", "deploy/mirroros-worker.service"} <= files
        assert [file for file in files if not (ROOT / file).exists()] == []
        units = set(re.findall(r"mirroros-(?:web@\d+|worker|realtime)\b", guide))
        assert {re.sub(r"\d+", "", unit) for unit in units} == {
            file.stem for file in (ROOT / "deploy").glob("*.service")
        }

    @BOTH
    def test_compose_migrates_before_anything_serves(self, file: str) -> None:
        for name in ("api", "worker", "realtime"):
            assert services(file)[name]["depends_on"]["release"]["condition"] == "service_completed_successfully"

    @BOTH
    def test_compose_leaves_the_server_time_to_finish_predictions(self, file: str) -> None:
        seconds = int(services(file)["api"]["stop_grace_period"].removesuffix("s"))
        assert seconds > longest_request(load_settings({})) + 10

    def test_optional_tools_start_only_when_asked_for(self) -> None:
        assert {name for name, service in services().items() if service.get("profiles") == ["shells"]} == {
            "psql",
            "redis-cli",
        }
        assert {name for name, service in services().items() if service.get("profiles") == ["monitoring"]} == {
            "prometheus",
            "grafana",
        }

    def test_production_starts_with_what_compose_gives_it_and_nothing_of_a_developer(self) -> None:
        compose = services(PRODUCTION)
        given = {name: secrets.token_urlsafe(32) for name in ("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD")}
        env_file = {
            **given,
            "FLASK_ENV": "development",
            "PUBLIC_BASE_URL": "https://api.example.com",
            "PRIVATE_API_URL": "https://predict.example.com",
            "PRIVATE_API_SECRET": secrets.token_urlsafe(32),
            "EMAIL_HOST": "smtp.example.com",
            "DEFAULT_FROM_EMAIL": "MirrorOS <no-reply@example.com>",
        }
        for name in ("api", "api-2", "worker", "realtime", "release"):
            assert compose[name]["env_file"] == ".env"
            own = {key: filled_in(text, env_file) for key, text in compose[name]["environment"].items()}
            settings = load_settings({**env_file, **own})
            assert settings.flask_env == "production"
        assert settings.redis_url is not None
        assert given["REDIS_PASSWORD"] in settings.redis_url.get_secret_value()

    @pytest.mark.parametrize(
        "name", ["SECRET_KEY", "PUBLIC_BASE_URL", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "SITE_ADDRESS"]
    )
    def test_production_does_not_start_without(self, name: str) -> None:
        text = (ROOT / PRODUCTION).read_text(encoding="utf-8")
        values = dict.fromkeys(set(re.findall(r"\$\{([A-Z0-9_]+):\?", text)), "set")
        assert filled_in(text, values)
        with pytest.raises(KeyError, match=name):
            filled_in(text, {each: value for each, value in values.items() if each != name})

    def test_production_is_reached_through_the_proxy_alone_and_has_no_stand_ins(self) -> None:
        compose = services(PRODUCTION)
        assert {name: service["ports"] for name, service in compose.items() if "ports" in service} == {
            "proxy": ["80:80", "443:443"]
        }
        assert services().keys() - compose.keys() == {"private-server", "adminer", "mail", "psql", "redis-cli"}
        borrowed = {name for name, service in compose.items() if "extends" in service}
        assert borrowed == {"prometheus", "grafana"}
        for name in borrowed:
            assert compose[name]["extends"] == {"file": "docker-compose.yml", "service": name}

    def test_production_has_the_commands_images_and_volumes_of_development(self) -> None:
        ours, theirs = services(PRODUCTION), services()
        for name in ("api", "worker", "realtime", "release", "db"):
            for key in ("build", "image", "command", "volumes", "healthcheck", "depends_on", "stop_grace_period"):
                assert ours[name].get(key) == theirs[name].get(key), (name, key)
        for key in ("name", "volumes"):
            assert document(PRODUCTION)[key] == document("docker-compose.yml")[key]

    def test_any_number_of_web_servers_can_run(self) -> None:
        """`--scale api=3`: none has a name, a port or a volume of its own."""
        for file in ("docker-compose.yml", PRODUCTION):
            assert not {"container_name", "ports", "volumes"} & services(file)["api"].keys()

    @pytest.mark.slow
    def test_the_redis_of_production_asks_for_its_password(self, tmp_path: Path) -> None:
        redis = services(PRODUCTION)["redis"]
        port, password = free_port(), secrets.token_urlsafe(16)
        shell, option, script = redis["command"]
        script = script.replace("$$", "$").replace(
            "docker-entrypoint.sh valkey-server -", f"{find_binary()} - --port {port}"
        )
        environ = {"PATH": os.environ["PATH"], "REDISCLI_AUTH": password}
        log = tmp_path / "valkey.log"
        with (
            log.open("w") as output,
            subprocess.Popen([shell, option, script], cwd=tmp_path, env=environ, stdout=output) as server,
        ):
            try:
                wait_until(lambda: not refuses(port), log)
                with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
                    stranger.ping()
                with Redis(port=port, password=password) as ours:
                    assert ours.ping()
                assert password not in " ".join(psutil.Process(server.pid).cmdline())
            finally:
                server.kill()

    @pytest.mark.parametrize("name", ["railway.json", "deploy/railway.worker.json", "deploy/railway.realtime.json"])
    def test_railway_files_hold_only_documented_keys(self, name: str) -> None:
        """https://docs.railway.com/config-as-code/reference"""
        file = document(name)
        assert file.keys() == {"$schema", "build", "deploy"}
        assert file["build"] == {"builder": "DOCKERFILE", "dockerfilePath": "Dockerfile"}
        kinds = {
            "startCommand": str,
            "preDeployCommand": list,
            "healthcheckPath": str,
            "healthcheckTimeout": int,
            "restartPolicyType": str,
            "restartPolicyMaxRetries": int,
            "drainingSeconds": int,
            "overlapSeconds": int,
        }
        for key, value in file["deploy"].items():
            assert isinstance(value, kinds[key])
        assert file["deploy"]["restartPolicyType"] in {"ON_FAILURE", "ALWAYS", "NEVER"}

    def test_every_platform_migrates_with_the_same_command(self) -> None:
        release = re.search(
            r"^release: FLASK_SKIP_DOTENV=1 (.+)$", (ROOT / "Procfile").read_text(encoding="utf-8"), re.M
        )
        assert release is not None
        assert document("railway.json")["deploy"]["preDeployCommand"] == [release[1]]
        assert services()["release"]["command"] == release[1].split()

    @pytest.mark.parametrize("kind", ["worker", "realtime"])
    def test_every_platform_runs_the_others_with_the_same_commands(self, kind: str) -> None:
        procfile = (ROOT / "Procfile").read_text(encoding="utf-8")
        command = re.search(rf"^{kind}: FLASK_SKIP_DOTENV=1 (.+)$", procfile, re.M)
        assert command is not None
        assert document(f"deploy/railway.{kind}.json")["deploy"]["startCommand"] == command[1]
        assert services()[kind]["command"] == command[1].split()

    def test_a_second_app_on_heroku_holds_the_sockets(self) -> None:
        """There only the process type `web` is reached by clients."""
        own = (ROOT / "deploy" / "Procfile.realtime").read_text(encoding="utf-8")
        assert own.replace("web: ", "realtime: ") in (ROOT / "Procfile").read_text(encoding="utf-8")

    @pytest.mark.slow
    def test_no_command_of_flask_reads_what_the_web_server_does_not(self, tmp_path: Path) -> None:
        """Flask's own commands read a file `.env` in the folder that they are started in; gunicorn does not."""
        assert re.search(r"^    FLASK_SKIP_DOTENV=1 \\$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
        (tmp_path / ".env").write_text("PORT=8123\n", encoding="utf-8")
        commands = re.findall(r"^\w+: (.*)flask ", (ROOT / "Procfile").read_text(encoding="utf-8"), re.M)
        assert len(commands) == 3
        for before in set(commands):
            environ = {
                **production(),
                "FLASK_APP": "app:create_app",
                "PYTHONPATH": str(ROOT),
                "PATH": os.environ["PATH"],
            }
            shown = subprocess.run(
                ["/bin/sh", "-c", f"{before}{sys.executable} -m flask config show"],
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            assert "\nPORT=8000  (default)\n" in shown.stdout, before

    def test_every_platform_starts_the_web_server_with_the_same_command(self) -> None:
        command = re.search(r"^CMD (\[.+\])$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.M)
        assert command is not None
        words = json.loads(command[1])
        line = " ".join([*words[:-1], f'"{words[-1]}"'])
        assert f"web: {line}\n" in (ROOT / "Procfile").read_text(encoding="utf-8")

    @pytest.mark.parametrize(
        "kind, file",
        [
            ("web", "mirroros-web@.service"),
            ("worker", "mirroros-worker.service"),
            ("realtime", "mirroros-realtime.service"),
        ],
    )
    def test_systemd_runs_the_same_commands(self, kind: str, file: str) -> None:
        unit = (ROOT / "deploy" / file).read_text(encoding="utf-8")
        command = re.search(
            rf"^{kind}: (?:FLASK_SKIP_DOTENV=1 )?(.+)$", (ROOT / "Procfile").read_text(encoding="utf-8"), re.M
        )
        assert command is not None
        assert f"\nExecStart=/opt/mirroros/.venv/bin/{command[1]}\n" in unit
        seconds = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)
        assert seconds is not None
        assert int(seconds[1]) > longest_request(load_settings({})) + 10

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
    def test_systemd_understands_its_files(self, tmp_path: Path) -> None:
        for file in (ROOT / "deploy").glob("*.service"):
            unit = re.sub(r"(?<==)/opt/\S+|/usr/bin/curl", "/bin/true", file.read_text(encoding="utf-8"))
            (tmp_path / file.name.replace("@", "@8001")).write_text(unit, encoding="utf-8")
        units = [str(file) for file in tmp_path.iterdir()]
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
        )
        assert (checked.returncode, len(units)) == (0, 3), checked.stderr

    def test_heroku_sets_only_variables_that_exist(self) -> None:
        assert document("app.json")["env"].keys() <= VARIABLES

    def test_heroku_stays_below_the_connections_of_its_smallest_database(self) -> None:
        """essential-0 allows 20. docs/deployment.md says which connections a process has beside its pool."""
        file = document("app.json")
        pool, processes = (int(file["env"][name]["value"]) for name in ("DATABASE_POOL_SIZE", "WEB_CONCURRENCY"))
        web = processes * file["formation"]["web"]["quantity"]
        workers = file["formation"]["worker"]["quantity"]
        release = 1
        assert web * (pool + 4) + workers * (pool + 7) + release <= 20

    def test_the_image_runs_without_root_and_with_checked_packages(self) -> None:
        text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
        assert re.search(r"^USER 10001:10001$", text, re.M)
        assert "--require-hashes" in text
        assert text.rindex("USER") < text.rindex("CMD")

    def test_the_image_holds_every_package_that_is_deployed(self) -> None:
        kept = re.findall(r"^!([a-z_]+)/\*\*$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.M)
        packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"sandbox", "tests", "bench"}
        assert packages | {"migrations"} <= set(kept)

    def test_the_proxies_take_the_largest_body_that_an_operation_may_declare_and_not_much_more(self) -> None:
        units = {"MB": 10**6, "m": 2**20}
        for file, setting in {
            "Caddyfile": r"max_size (\d+)(MB)\n",
            "nginx.conf": r"client_max_body_size (\d+)(m);",
        }.items():
            ((number, unit),) = re.findall(setting, (ROOT / "deploy" / file).read_text(encoding="utf-8"))
            assert LARGEST_BODY <= int(number) * units[unit] < 1.1 * LARGEST_BODY

    def test_no_proxy_keeps_uploads_of_strangers_or_gives_up_before_the_web_server_does(self) -> None:
        assert "\tproxy_request_buffering off;\n" in (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8")
        caddyfile = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
        patience = re.search(r"read_body (\d+)s", caddyfile)
        assert patience is not None
        assert int(patience[1]) > Patience().late_body
        assert "request_buffers 1MB" in caddyfile

    def test_platforms_without_the_image_use_the_same_python(self) -> None:
        version = (ROOT / ".python-version").read_text(encoding="utf-8").strip()
        assert f"FROM python:{version}-slim" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


REFUSED = {
    "content-length and transfer-encoding": (
        post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
    ),
    "transfer-encoding twice": (
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
        400,
    ),
    "unknown transfer-encoding": (post(b"Transfer-Encoding: cow", body=b"0\r\n\r\n"), 501),
    "content-length twice": (post(b"Content-Length: 1", b"Content-Length: 1", body=b"a"), 400),
    "signed content-length": (post(b"Content-Length: +1", body=b"a"), 400),
    "negative content-length": (post(b"Content-Length: -1"), 400),
    "space before the colon": (post(b"Content-Length : 1", body=b"a"), 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "folded header": (post(b"X-A: 1\r\n  2"), 400),
    "NUL in a header": (post(b"X-A: \x00"), 400),
    "two hosts": (post(b"Host: b"), 400),
    "lower-case method": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "hexadecimal prefix in a chunk size": (post(b"Transfer-Encoding: chunked", body=b"0x1\r\na\r\n0\r\n\r\n"), 400),
    "negative chunk size": (post(b"Transfer-Encoding: chunked", body=b"-1\r\na\r\n0\r\n\r\n"), 400),
    "chunk without its line end": (post(b"Transfer-Encoding: chunked", body=b"1\r\naXX0\r\n\r\n"), 400),
    "header of 9 KB": (post(b"X-A: " + b"a" * 9216), 431),
    "101 headers": (post(*[b"X-A: 1"] * 101), 431),
    "address of 5 KB": (b"GET /" + b"a" * 5120 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
}


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except (ConnectionRefusedError, ConnectionResetError):  # reset: it stopped listening in this very moment
        return True
    return False


@pytest.fixture(scope="module")
def web_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The port of a toy server, and the file of its log."""
    with toy_server(tmp_path_factory.mktemp("gunicorn"), IMPATIENT) as server:
        yield server.port, server.log


class TestWebServer:
    @pytest.mark.parametrize("request_bytes, status", REFUSED.values(), ids=REFUSED.keys())
    def test_a_doubtful_request_is_refused_and_the_connection_closed(
        self, web_server: tuple[int, Path], request_bytes: bytes, status: int
    ) -> None:
        answer = exchange(web_server[0], request_bytes)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert answer.count(b"HTTP/1.1 ") == 1

    def test_no_answer_names_the_server(self, web_server: tuple[int, Path]) -> None:
        good = exchange(web_server[0], post(b"Connection: close"))
        bad = exchange(web_server[0], post(b"Host: b"))
        assert b"server:" not in (good + bad).lower()
        assert b"gunicorn" not in (good + bad).lower()

    def test_each_pipelined_request_gets_its_own_answer(self, web_server: tuple[int, Path]) -> None:
        first = post(b"Content-Length: 5", body=b"first")
        second = post(b"Content-Length: 6", b"Connection: close", body=b"second")
        received = exchange(web_server[0], first + second)
        assert received.count(b"HTTP/1.1 200 OK") == 2
        assert received.index(b"first") < received.index(b"second")

    def test_forwarded_and_underscored_headers_change_nothing(self, web_server: tuple[int, Path]) -> None:
        answer = exchange(
            web_server[0],
            post(
                b"X_User_Id: mallory",
                b"X-Forwarded-For: 203.0.113.9",
                b"X-Forwarded-Proto: https",
                b"SCRIPT_NAME: /admin",
                b"Connection: close",
            ),
        )
        seen = {"HTTP_X_USER_ID": "", "SCRIPT_NAME": "", "wsgi.url_scheme": "http", "REMOTE_ADDR": "127.0.0.1"}
        assert answer.endswith(repr(seen).encode())

    def test_deep_recursion_is_an_error_and_not_a_crash(self, web_server: tuple[int, Path]) -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{web_server[0]}/nested", timeout=10) as answer:
            assert answer.read() == b"RecursionError"

    def test_200_half_open_requests_leave_it_answering_and_are_closed(self, web_server: tuple[int, Path]) -> None:
        port, log = web_server
        with ExitStack() as open_connections:
            half_open = []
            for number in range(200):
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                open_connections.enter_context(connection)
                half = b"GET / HTTP/1.1\r\nHo" if number % 2 else post(b"Content-Length: 100", body=b"a")
                connection.sendall(half)
                half_open.append(connection)
            assert answers(port)
            for connection in half_open:
                status = received(connection).split()[1]
                assert status in {b"408", b"429"}
        assert answers(port)
        assert "Traceback" not in log.read_text()

    def test_clients_that_never_close_do_not_hold_up_the_others(self, web_server: tuple[int, Path]) -> None:
        """gunicorn waits for the client's own close; 40 of them waiting one after another would take 80 seconds."""
        port = web_server[0]
        with ExitStack() as open_connections:
            for _ in range(40):
                connection = socket.create_connection(("127.0.0.1", port), timeout=10)
                open_connections.enter_context(connection)
                connection.sendall(post(b"Connection: close"))
            assert answers(port)

    def test_a_request_in_progress_is_finished_and_new_connections_are_refused_after_sigterm(
        self, tmp_path: Path
    ) -> None:
        with toy_server(tmp_path) as server, ThreadPoolExecutor(1) as client:
            answer = client.submit(
                exchange, server.port, b"GET /until-allowed HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
            try:
                wait_until((tmp_path / "begun").exists, server.log)
                server.process.terminate()
                wait_until(lambda: refuses(server.port), server.log)
                assert server.process.poll() is None
            finally:
                (tmp_path / "allowed").touch()
            assert answer.result().endswith(b"finished")
            assert server.process.wait(timeout=20) == 0

    def test_connections_are_refused_until_the_application_is_loaded(self, tmp_path: Path) -> None:
        (tmp_path / "hold").touch()
        with toy_server(tmp_path, started="Booting worker") as server:
            assert refuses(server.port)
            (tmp_path / "hold").unlink()
            wait_until(lambda: answers(server.port), server.log)

    @pytest.mark.slow
    def test_after_sighup_the_old_processes_serve_until_the_new_ones_do(self, tmp_path: Path) -> None:
        with toy_server(tmp_path) as server:

            def started() -> int:
                return server.log.read_text().count("Booting worker")

            (tmp_path / "hold").touch()
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: started() == 2, server.log)
            assert answers(server.port)
            (tmp_path / "hold").unlink()
            wait_until(lambda: "Worker exiting" in server.log.read_text(), server.log)
            assert answers(server.port)

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a process on a core")
    @pytest.mark.slow
    def test_each_core_has_its_process_also_after_one_was_killed(self, tmp_path: Path) -> None:
        cores = os.sched_getaffinity(0)
        with toy_server(tmp_path, WEB_CONCURRENCY=str(len(cores))) as server:

            killed: set[int] = set()

            def living() -> list[int]:
                """A killed process has its core until the master has noticed."""
                return [each.pid for each in psutil.Process(server.process.pid).children() if each.pid not in killed]

            def cores_in_use() -> list[set[int]]:
                with suppress(ProcessLookupError):
                    return sorted((os.sched_getaffinity(process_id) for process_id in living()), key=min)
                return []

            for _ in range(2):
                wait_until(lambda: cores_in_use() == [{core} for core in sorted(cores)], server.log)
                process_id = living()[-1]
                os.kill(process_id, signal.SIGKILL)
                killed.add(process_id)
            wait_until(lambda: cores_in_use() == [{core} for core in sorted(cores)], server.log)

    def test_the_master_process_holds_no_library_that_only_workers_need(self) -> None:
        program = "import runpy, sys; runpy.run_path('gunicorn.conf.py'); print(*sys.modules)"
        environ = {"PATH": os.environ["PATH"], "FLASK_ENV": "development"}
        read = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, check=True)
        assert not {"flask", "sqlalchemy", "redis"} & set(read.stdout.decode().split())

    def test_wrong_settings_end_the_web_server_at_once(self) -> None:
        """78 tells a supervisor that starting again does not help (sysexits.h)."""
        environ = {"PATH": os.environ["PATH"], "FLASK_ENV": "production", "PORT": "x"}
        program = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "app:create_app()"]
        ended = subprocess.run(program, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30, check=False)
        assert ended.returncode == 78
        assert "SECRET_KEY must be set" in ended.stderr
        assert "PORT is not valid" in ended.stderr
        assert "Traceback" not in ended.stderr

    @pytest.mark.parametrize("command", ["db upgrade", "worker run", "config check"])
    def test_wrong_settings_end_every_command_at_once(self, command: str) -> None:
        environ = dict.fromkeys(os.environ) | {"FLASK_ENV": "production", "PORT": "x"}
        ended = CliRunner().invoke(FlaskGroup(create_app=create_app, load_dotenv=False), command.split(), env=environ)
        assert ended.exit_code == 78
        assert "SECRET_KEY must be set" in ended.stderr
        assert "PORT is not valid" in ended.stderr
