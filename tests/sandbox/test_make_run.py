"""`make run`: a first prediction by the printed lines, and an orderly end whatever happens."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from sandbox.run import first_calls
from sandbox.services import AI_VARIABLES, ROOT

START_SECONDS = 90


class MakeRun:
    """`python -m sandbox.run` with a folder of its own, on any free port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder, ""
        unset = {"DATABASE_URL", "REDIS_URL", "PRIVATE_API_URL", "FLASK_ENV", "EMAIL_HOST", "EMAIL_FOLDER"}
        unset |= {"STRIPE_SECRET_KEY", "APPLE_BUNDLE_ID", "APPLE_CLIENT_IDS", "GOOGLE_CLIENT_IDS"}
        unset |= {*AI_VARIABLES, "USE_MOCK_OPENAI", "CAPABILITIES"}
        self.environ = {name: value for name, value in os.environ.items() if name not in unset}
        self.environ |= {"PORT": "0", "FLASK_ENV": "development", "BCRYPT_COST": "4"}

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if "Ctrl-C" in line:
                return
        raise AssertionError(f"make run ended: {self.process.wait()}")

    @property
    def url(self) -> str:
        """Of the API, as it was announced."""
        found = re.search(r"^API +(http://localhost:\d+)$", self.output, re.MULTILINE)
        assert found is not None, self.output
        return found[1]

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "sandbox.run", "--data", str(self.folder)]

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, name: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(name)
        self.output += self.process.communicate(timeout=60)[0] or ""
        return self.process.returncode


@pytest.mark.parametrize(
    ("products", "paths"),
    [
        ("predict,solve", ["predict", "predict/usage", "solve"]),
        ("solve", ["solve"]),
        ("predict, chat", ["predict", "predict/usage"]),
    ],
)
def test_the_lines_to_try_are_those_of_the_products_that_are_on(products: str, paths: list[str]) -> None:
    shown = first_calls("http://localhost:8000", {"CAPABILITIES": products})
    assert re.findall(r"/api/gateway/(\S+)", shown) == paths
    assert "TOKEN=$(curl" in shown


@contextmanager
def started_in(folder: Path) -> Iterator[MakeRun]:
    running = MakeRun(folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[MakeRun]:
    """For a test that stops it."""
    with started_in(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def started_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeRun]:
    """Each test has accounts of its own."""
    with started_in(tmp_path_factory.mktemp("make-run")) as running:
        yield running


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the printed lines need curl")
def test_the_printed_lines_make_a_first_prediction_and_purchase_and_ctrl_c_stops_everything(started: MakeRun) -> None:
    lines = "\n".join(re.findall(r"^(?:curl|[A-Z]+=\$).*$", started.output, re.MULTILINE))
    done = subprocess.run(["bash", "-euc", lines], capture_output=True, text=True, check=False, timeout=60)

    decoder, text, answers = json.JSONDecoder(), done.stdout, []
    while text := text.strip():
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:]
    _, prediction, usage, solution, help_, bought, more, on_the_web, paid, ordered = answers
    assert prediction["metadata"]["predictions_remaining_today"] == 4
    assert (usage["used"], usage["remaining"]) == (1, 4)
    assert (solution["provider"], solution["mock"], solution["image"]["width"]) == ("openai", False, 96)
    assert (help_["model"], help_["usage"]["input_tokens"] > 0) == ("anthropic/claude-sonnet-5.5", True)
    assert solution["answer"] and solution["usage"]["input_tokens"] > 0
    assert (bought["tier"], bought["subscription"]["provider"]) == ("pro", "apple")
    assert (more["used"], more["limit"] > usage["limit"]) == (1, True)
    assert on_the_web["error"] == "already_subscribed"
    assert (paid["status"], ordered["status"], ordered["payment_status"]) == ("succeeded", "confirmed", "paid")
    assert "mail_box" in ask(started, "/")["links"]
    assert f"{started.url}/docs" in started.output and f"{started.url}/chat" in started.output
    assert sign_in_to_the_dashboard(started).headers["Location"] == "/admin/second-factor"
    connect_to_this_machine(started)
    assert f"{started.folder / 'logs'}/" in started.output

    assert "Confirm your e-mail address" in emails_on_the_mail_page(started)
    found = re.search(
        r"^AI +stand-ins, .*: OpenAI, Anthropic, Google, Groq, OpenRouter (http://\S+)$", started.output, re.MULTILINE
    )
    assert (
        found is not None and requests.get(f"{found[1]}/controls/books", timeout=10).json()["requests"]
    ), started.output

    sockets = re.search(r"^Sockets +(http://localhost:\d+)$", started.output, re.MULTILINE)
    assert sockets is not None, started.output
    assert requests.get(f"{sockets[1]}/health/ready", timeout=10).status_code == 200

    refused = subprocess.run(started.command, env=started.environ, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert f"Process {started.process.pid} already runs" in refused.stderr

    children = started.descendants()
    # PostgreSQL, Valkey, the private server, a Stripe, an App Store, Apple's and Google's sign-in, an AI provider, the API, the
    # worker, the realtime process, the mail box; and sshd, where there is one
    assert len(children) >= 11
    assert started.stop(signal.SIGINT) == 0
    assert all_gone(children)


def sign_in_to_the_dashboard(started: MakeRun) -> requests.Response:
    """By the printed line."""
    found = re.search(r"^Dashboard +(\S+)\n +Sign in as (\S+) with (\S+);", started.output, re.MULTILINE)
    assert found is not None, started.output
    fields, page = {"email": found[2], "password": found[3]}, {"Sec-Fetch-Site": "same-origin"}
    return requests.post(f"{found[1]}/sign-in", data=fields, headers=page, allow_redirects=False, timeout=30)


def connect_to_this_machine(started: MakeRun) -> None:
    """With the account and the server that were printed."""
    found = re.search(
        r"^Terminal +http://localhost:\d+/terminal\n +(\S+) can connect to .*@127\.0\.0\.1:(\d+)\n +.* (SHA256:\S+)$",
        started.output,
        re.MULTILINE,
    )
    password = re.search(r"Sign in as \S+ with (\S+);", started.output)
    assert found is not None and password is not None, started.output
    token = ask(started, "/api/auth/login", {"email": found[1], "password": password[1]})["access_token"]
    [profile] = ask(started, "/api/terminal/ssh/profiles", None, token)["profiles"]
    test = f"/api/terminal/ssh/profiles/{profile['id']}/test"
    assert ask(started, test, {}, token)["host_key"]["fingerprint"] == found[3]
    ask(
        started,
        "/api/terminal/ssh/known-hosts",
        {"host": profile["host"], "port": int(found[2]), "fingerprint": found[3]},
        token,
    )
    assert ask(started, test, {}, token)["ok"] is True


def ask(started: MakeRun, path: str, body: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
    request = urllib.request.Request(
        f"{started.url}{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        decoded: dict[str, Any] = json.load(answer)
        return decoded


@pytest.mark.slow
def test_a_plan_can_be_bought_from_the_stand_in(started_once: MakeRun) -> None:
    account = {"email": "alice@example.com", "password": "tulip-9-orbit-canoe"}
    token = ask(started_once, "/api/auth/register", account)["access_token"]
    wanted = {"tier": "pro", "billing_cycle": "monthly"}
    page = ask(started_once, "/api/payments/stripe/create-checkout-session", wanted, token)["checkout_url"]
    done = requests.post(page, data={"action": "good"}, allow_redirects=False, timeout=30)
    assert done.status_code == 303

    wait_for_tier(started_once, token, "pro")


@pytest.mark.slow
def test_the_app_store_stand_in_tells_the_api_what_happens(started_once: MakeRun) -> None:
    found = re.search(r"^Payments .*App Store (http://\S+)$", started_once.output, re.MULTILINE)
    assert found is not None, started_once.output
    account = {"email": "bob@example.com", "password": "tulip-9-orbit-canoe"}
    token = ask(started_once, "/api/auth/register", account)["access_token"]
    own_token = ask(started_once, "/api/payments/apple/account-token", None, token)["account_token"]
    order = {"customer": "bob", "product_id": "com.mirroros.pro.monthly", "account_token": own_token}
    bought = requests.post(f"{found[1]}/controls/subscribe", json=order, timeout=30).json()
    wait_for_tier(started_once, token, "pro")

    transaction = {"transaction_id": bought["transaction_id"]}
    assert requests.post(f"{found[1]}/controls/refund", json=transaction, timeout=30).status_code == 200
    wait_for_tier(started_once, token, "free")


def wait_for_tier(started: MakeRun, token: str, tier: str) -> None:
    """What the stores tell is applied by a job."""
    deadline = time.monotonic() + START_SECONDS
    while ask(started, "/api/payments/subscription", None, token)["tier"] != tier:
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the documented lines need curl")
def test_the_documented_lines_sign_in_with_apple_and_google_and_closing_takes_it_back(started_once: MakeRun) -> None:
    found = re.search(r"^Sign-in +stand-ins: Apple (\S+), Google (\S+)$", started_once.output, re.MULTILINE)
    assert found is not None, started_once.output
    page = (ROOT / "docs" / "accounts.md").read_text(encoding="utf-8")
    block = page[page.index("### Trying it") :].split("```")[1].removeprefix("bash\n")
    block = block.replace("http://127.0.0.1:40001", found[1]).replace("http://127.0.0.1:40002", found[2])
    block = block.replace("http://localhost:8000", started_once.url)
    done = subprocess.run(["bash", "-euc", block], capture_output=True, text=True, check=False, timeout=60)
    decoder = json.JSONDecoder()
    by_apple, end = decoder.raw_decode(done.stdout)
    by_google, _ = decoder.raw_decode(done.stdout[end:].strip())
    assert by_apple["user"]["email"] == "apple@example.com"
    assert by_google["user"]["email"] == "google@gmail.com"

    wait_for_authorizations(found[1], 1)
    own = {"Authorization": f"Bearer {by_apple['access_token']}"}
    assert requests.delete(f"{started_once.url}/api/auth/profile", headers=own, timeout=30).status_code == 200
    wait_for_authorizations(found[1], 0)


def wait_for_authorizations(apple_url: str, number: int) -> None:
    """The job that revokes runs every minute."""
    deadline = time.monotonic() + START_SECONDS
    while len(requests.get(f"{apple_url}/controls/authorizations", timeout=10).json()["authorizations"]) != number:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.slow
def test_servers_that_are_given_are_used_and_none_is_started(
    tmp_path: Path, empty_database_url: str, redis_url: str
) -> None:
    running = MakeRun(tmp_path)
    running.environ |= {"DATABASE_URL": empty_database_url, "REDIS_URL": redis_url}
    running.environ |= {"PRIVATE_API_URL": "http://127.0.0.1:1", "EMAIL_HOST": "127.0.0.1"}
    running.environ |= {"STRIPE_SECRET_KEY": "sk_test_given"}
    running.environ |= {name: secrets.token_hex(16) for name in AI_VARIABLES if name.endswith("_KEY")}
    running.environ |= {"OPENROUTER_BASE_URL": "http://127.0.0.1:1/api/v1"}
    running.environ |= {"APPLE_BUNDLE_ID": "com.example.given", "APPLE_APP_ID": "1"}
    running.environ |= {"APPLE_PRODUCTS": "com.example.given.pro:pro:monthly"}
    running.environ |= {"APPLE_CLIENT_IDS": "com.example.given", "GOOGLE_CLIENT_IDS": "given"}
    running.environ.pop("PRIVATE_API_SECRET", None)
    try:
        running.start()
        modules = {child.cmdline()[2] for child in psutil.Process(running.process.pid).children()}
        assert modules == {"gunicorn", "flask"}  # a mail server is given too
        assert "Mail " not in running.output
        assert "Sign-in" not in running.output
        assert "Payments" not in running.output
        assert "purchase" not in running.output
        with urllib.request.urlopen(f"{running.url}/health/ready", timeout=10) as answer:
            assert set(json.load(answer)["parts"]) == {"database", "redis", "worker"}
    finally:
        running.stop()
    assert f"the key\nin {tmp_path / 'development-secrets.json'}" in running.output


@pytest.mark.slow
def test_when_one_part_dies_the_others_are_stopped_and_its_log_is_named(tmp_path: Path) -> None:
    running = MakeRun(tmp_path)
    error_file = tmp_path / "errors"
    with error_file.open("w") as errors:
        running.process = subprocess.Popen(
            running.command, cwd=ROOT, env=running.environ, stdout=subprocess.DEVNULL, stderr=errors, text=True
        )
    worker = wait_for_child(running, "worker")
    children = running.descendants()
    worker.kill()
    assert running.process.wait(60) == 1
    assert all_gone(children)
    assert "the worker" in error_file.read_text()
    assert str(tmp_path / "logs" / "worker.log") in error_file.read_text()


def emails_on_the_mail_page(running: MakeRun) -> str:
    """The page that was announced, as soon as the worker has written the first e-mail."""
    found = re.search(r"^Mail +(http://127\.0\.0\.1:\d+)$", running.output, re.MULTILINE)
    assert found is not None
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with urllib.request.urlopen(found[1], timeout=10) as answer:
            page = str(answer.read().decode())
        if "newcomer-" in page:
            return page
        time.sleep(0.1)
    raise AssertionError("no e-mail was written")


def wait_for_child(running: MakeRun, word: str) -> psutil.Process:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.process.poll() is None:
        for child in running.descendants():
            try:
                if word in child.cmdline():
                    return child
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)
    raise AssertionError(f"no {word} was started")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PORT": "http"}, "PORT must be a number"),
        ({"PORT": "70000"}, "PORT must be a number"),
        ({"FLASK_ENV": "production"}, "make run is for development"),
    ],
)
def test_a_wrong_setting_is_explained(tmp_path: Path, variables: dict[str, str], message: str) -> None:
    running = MakeRun(tmp_path)
    done = subprocess.run(
        running.command, env=running.environ | variables, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    running = MakeRun(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        environ = {**running.environ, "PORT": port}
        done = subprocess.run(running.command, env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Another program uses port {port}" in done.stderr
    assert "`make run` or `flask run` in another folder" in done.stderr
    assert f"PORT={int(port) + 1 if port != '65535' else 8000} make run" in done.stderr
