"""Run the API, a worker and everything that they need, until Ctrl-C. `make run` starts this."""

import argparse
import json
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from capabilities import CAPABILITIES
from capabilities.chat import CHAT
from capabilities.terminal import TERMINAL
from sandbox.cannot_start import CannotStart
from sandbox.child_process import ChildProcess
from sandbox.claim import Claim, claim_services, holder, published_addresses
from sandbox.demo_products import demo_products
from sandbox.demo_ssh import let_in
from sandbox.development import DATA, without_redis
from sandbox.development_secrets import development_secrets, is_set, kept_file
from sandbox.first_command import first_command
from sandbox.first_order import first_order
from sandbox.first_prediction import first_prediction, new_account, usage_of_predictions
from sandbox.first_purchase import first_purchase_in_an_app, first_purchase_on_the_web
from sandbox.first_solve import first_solve
from sandbox.flask_commands import FlaskCommands
from sandbox.open_ssh import OpenSsh
from sandbox.services import AI_VARIABLES, ROOT, START_WITHIN_SECONDS, Services, unset_addresses, unset_ai
from sandbox.staff_account import ADDRESS, staff_account
from settings.environment import with_names_of_today

READY_WITHIN_SECONDS = 60.0
STOP_WITHIN_SECONDS = 10.0
SHORT_COMMAND_SECONDS = 15.0


class StopRequested(Exception):
    """Ctrl-C or SIGTERM came while things were being started."""


class StopSignal:
    """Counts Ctrl-C and SIGTERM. The second one means: at once."""

    def __init__(self) -> None:
        self.count = 0
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, self._note)

    def _note(self, *_: object) -> None:
        self.count += 1

    def check(self) -> None:
        if self.count:
            raise StopRequested

    def in_a_hurry(self) -> bool:
        return self.count > 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.run", description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder for data and logs (default: .data)")
    folder: Path = parser.parse_args().data.resolve()
    stop = StopSignal()
    try:
        run(folder, stop)
    except StopRequested:
        say("Stopped.")
    except CannotStart as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


def run(folder: Path, stop: StopSignal) -> None:
    environ = development_environment()
    claim = claim_when_free(folder, stop)
    services = Services(folder)
    programs: list[ChildProcess] = []
    try:
        listeners = listeners_on(environ)
        port = listeners[0].getsockname()[1]
        made_up = development_secrets(folder, environ)
        foreign_server = is_set(environ, "PRIVATE_API_URL")
        environ |= made_up
        environ |= {"PORT": str(port), "REALTIME_PORT": str(listeners[1].getsockname()[1]), "PYTHONUNBUFFERED": "1"}
        say("Starting the servers ...")
        addresses = services.start(unset_addresses(environ), environ)
        base_url = f"http://127.0.0.1:{port}"
        if not is_set(environ, "STRIPE_SECRET_KEY"):
            addresses |= services.start_stripe(environ, base_url)
        if not is_set(environ, "APPLE_BUNDLE_ID"):
            addresses |= services.start_app_store(environ, base_url)
        addresses |= services.start_sign_in(environ)
        if asks_ai(environ) and unset_ai(environ):
            addresses |= services.start_ai(environ)
        environ |= addresses
        if not is_set(environ, "EMAIL_HOST") and not is_set(environ, "EMAIL_FOLDER"):
            environ["EMAIL_FOLDER"] = str(folder / "mail")
        claim.publish({**addresses, "CAPABILITIES": environ["CAPABILITIES"]})
        stop.check()
        migrate(services, environ, stop)
        if not is_set(environ, "EMAIL_HOST"):
            mail_box = mail_box_of(services, environ)
            programs.append(mail_box)
            environ["MAIL_BOX_URL"] = started_mail_box(mail_box)
        for program in web_worker_and_realtime(services, environ, *listeners):
            programs.append(program)
            program.start()
        for serving, variable in (("web", "PORT"), ("realtime", "REALTIME_PORT")):
            wait_until_ready(serving, f"http://127.0.0.1:{environ[variable]}", services, programs, stop)
        made_up_for_foreign_server = foreign_server and "PRIVATE_API_SECRET" in made_up
        # What is shown is what links, cookies and CORS_ORIGINS say: to a browser localhost and 127.0.0.1 are two sites.
        public_url = environ.get("PUBLIC_BASE_URL", "").strip() or f"http://localhost:{port}"
        remark = remark_on_made_up_key(folder) if made_up_for_foreign_server else ""
        sign_in = look_around(folder, services, environ)
        announce(public_url, services, environ, sign_in=sign_in, remark=remark)
        while True:
            stop.check()
            refuse_endings(services, programs)
            time.sleep(0.1)
    finally:
        for program in programs:
            program.ask_to_stop()
        for program in programs:
            program.stop(STOP_WITHIN_SECONDS, stop.in_a_hurry)
        services.stop()
        claim.release()


def development_environment() -> dict[str, str]:
    """The process's environment over `.env`. Raises CannotStart outside development."""
    written = {name: value for name, value in dotenv_values(ROOT / ".env").items() if value}
    named = with_names_of_today({**written, **os.environ})
    sys.stderr.writelines(f"Warning: {remark}\n" for remark in named.remarks)
    environ = named.environ
    if environ.setdefault("FLASK_ENV", "development").lower() != "development":
        raise CannotStart(
            f"make run is for development, and FLASK_ENV is {environ['FLASK_ENV']}. See docs/deployment.md."
        )
    if not is_set(environ, "CAPABILITIES"):
        environ["CAPABILITIES"] = ",".join(each.name for each in CAPABILITIES)
    if not is_set(environ, "TERMINAL_ALLOWED_NETWORKS"):
        environ["TERMINAL_ALLOWED_NETWORKS"] = "127.0.0.1/32"
    return environ


def claim_when_free(folder: Path, stop: StopSignal) -> Claim:
    """The claim on the servers. Waits for a command that ends soon, such as `flask db upgrade`."""
    deadline = time.monotonic() + SHORT_COMMAND_SECONDS
    while (claim := claim_services(folder)) is None:
        if published_addresses(folder) is not None or time.monotonic() > deadline:
            raise CannotStart(
                f"Process {holder(folder)} already runs the servers of this folder (make run or flask run). Stop it first."
            )
        stop.check()
        time.sleep(0.05)
    return claim


def listeners_on(environ: Mapping[str, str]) -> tuple[socket.socket, socket.socket]:
    """Of the API and of the realtime process. Who asks for any free port of the one means both."""
    web = listener_on("PORT", environ, usual=8000)
    any_port = {"REALTIME_PORT": "0"} if environ.get("PORT", "").strip() == "0" else {}
    return web, listener_on("REALTIME_PORT", {**any_port, **environ}, usual=8001)


def listener_on(variable: str, environ: Mapping[str, str], *, usual: int) -> socket.socket:
    """The socket that a program is handed. With 0 on any free port."""
    text = environ.get(variable, "").strip() or str(usual)
    if not text.isdecimal() or int(text) > 65535:
        raise CannotStart(f"{variable} must be a number from 1 to 65535, or 0 for any free port.")
    try:
        # Only on this machine; in a container the programs listen on every address.
        return socket.create_server(("127.0.0.1", int(text)))
    except OSError as error:
        raise CannotStart(port_refused(variable, int(text), error, usual=usual)) from None


def port_refused(variable: str, port: int, error: OSError, *, usual: int) -> str:
    if isinstance(error, PermissionError):
        return f"Only the system may use port {port}. Use a port above 1023: {variable}={usual} make run"
    other = port + 1 if port < 65535 else usual
    return (
        f"Another program uses port {port}: often `make run` or `flask run` in another folder, docker-compose, or another"
        f" project's\ndevelopment server. Stop it (`lsof -i :{port}` shows which one), or use another port:"
        f" {variable}={other} make run"
    )


def migrate(services: Services, environ: Mapping[str, str], stop: StopSignal) -> None:
    command = [sys.executable, "-m", "flask", "db", "upgrade"]
    migration = ChildProcess("the migration", command, environ, ROOT, services.log_file("migrations"))
    migration.start()
    try:
        while migration.exit_code is None:
            stop.check()
            time.sleep(0.02)
        if migration.exit_code == os.EX_CONFIG:
            raise CannotStart(migration.output().strip())
        if migration.exit_code:
            raise CannotStart(f"The migrations failed; see {migration.log_file}\n{migration.output().strip()}")
    finally:
        migration.stop(STOP_WITHIN_SECONDS)


def web_worker_and_realtime(
    services: Services, environ: Mapping[str, str], listener: socket.socket, sockets: socket.socket
) -> Iterator[ChildProcess]:
    python = [sys.executable, "-m"]
    web = [*python, "gunicorn", "-c", "gunicorn.conf.py", "--bind", f"fd://{listener.fileno()}", "app:create_app()"]
    yield ChildProcess("the API", web, environ, ROOT, services.log_file("web"), [listener])
    yield ChildProcess("the worker", [*python, "flask", "worker", "run"], environ, ROOT, services.log_file("worker"))
    realtime = [*python, "flask", "realtime", "run", "--fd", str(sockets.fileno())]
    yield ChildProcess("the realtime process", realtime, environ, ROOT, services.log_file("realtime"), [sockets])


def mail_box_of(services: Services, environ: Mapping[str, str]) -> ChildProcess:
    """The page that shows the e-mails that no mail server sends."""
    command = [sys.executable, "-m", "sandbox.mail_box", "--folder", environ["EMAIL_FOLDER"], "--port", "0"]
    return ChildProcess("the mail box", command, environ, ROOT, services.log_file("mail-box"))


def started_mail_box(mail_box: ChildProcess) -> str:
    """Its address."""
    mail_box.start()
    url = mail_box.says(r"^mail box on (http://\S+)$", START_WITHIN_SECONDS)
    if url is None:
        raise CannotStart(f"The mail box did not start; see {mail_box.log_file}")
    return url


def refuse_endings(services: Services, programs: list[ChildProcess]) -> None:
    """Raises CannotStart when something that should run has ended."""
    ended = services.ended()
    for program in programs:
        if ended is None and program.exit_code is not None:
            ended = program.name, program.log_file
    if ended is not None:
        name, log = ended
        raise CannotStart(f"Stopped unexpectedly: {name}. Everything else was stopped too. See {log}")


def wait_until_ready(
    serving: str, base_url: str, services: Services, programs: list[ChildProcess], stop: StopSignal
) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    problem = "no answer"
    while time.monotonic() < deadline:
        stop.check()
        refuse_endings(services, programs)
        try:
            with urllib.request.urlopen(f"{base_url}/health/ready", timeout=2):  # nosec B310 # noqa: S310
                return
        except urllib.error.HTTPError as error:
            problem = failing_parts(error)
        except OSError:
            problem = "no answer"
        time.sleep(0.05)
    name = {"web": "The API", "realtime": "The realtime process"}[serving]
    raise CannotStart(f"{name} did not become ready ({problem}); see {services.log_file(serving)}")


def failing_parts(error: urllib.error.HTTPError) -> str:
    try:
        return f"failing: {', '.join(json.load(error)['failing'])}"
    except (ValueError, KeyError, TypeError):
        return f"HTTP status {error.code}"


def announce(base_url: str, services: Services, environ: Mapping[str, str], *, sign_in: str, remark: str) -> None:
    mail_url = environ.get("MAIL_BOX_URL")
    mail = f"Mail           {mail_url}\n" if mail_url else ""
    chat = f"Chat           {base_url}/chat\n" if CHAT.name in products_on(environ) else ""
    redis = "" if services.no_valkey is None else f"Redis          none: {without_redis(services.no_valkey)}\n"
    say(
        f"\nAPI            {base_url}\n"
        f"Sockets        {environ.get('REALTIME_PUBLIC_URL') or with_port(base_url, environ['REALTIME_PORT'])}\n"
        f"Documentation  {base_url}/docs\n"
        f"Dashboard      {base_url}/admin\n"
        f"               {sign_in}\n"
        f"{chat}"
        f"{remark_on_terminal(base_url, services, environ)}"
        f"{mail}"
        f"{remark_on_payments(services, environ)}"
        f"{remark_on_sign_in(environ)}"
        f"{remark_on_ai(services)}"
        f"{redis}"
        f"Logs           {shown(services.logs)}/\n"
        f"\n{first_calls(base_url, environ)}"
        f"{first_help(base_url, services, environ)}"
        f"{first_purchases(base_url, services, environ)}{remark}"
        "Ctrl-C stops everything."
    )


def look_around(folder: Path, services: Services, environ: Mapping[str, str]) -> str:
    """How to sign in to the dashboard. Nobody's own database gets an account, products or a server that they did not ask for."""
    if services.postgres is None:
        return "To get an account: flask users create-admin"
    with FlaskCommands(environ) as flask:
        if "shop" in products_on(environ):
            demo_products(folder, flask)
        sign_in = staff_account(folder, flask)
        if TERMINAL.name in products_on(environ):
            let_in(services.start_ssh(), services.ssh_folder, ADDRESS, flask)
    return sign_in


def remark_on_terminal(base_url: str, services: Services, environ: Mapping[str, str]) -> str:
    if TERMINAL.name not in products_on(environ):
        return ""
    page, server = f"Terminal       {base_url}/terminal\n", services.ssh
    if server is None:
        return page
    what = "sshd" if isinstance(server, OpenSsh) else "a stand-in for sshd"
    return (
        f"{page}               {ADDRESS} can connect to “This machine”: {what}, {server.user}@127.0.0.1:{server.port}\n"
        f"               with the host key {server.fingerprint}\n"
    )


def products_on(environ: Mapping[str, str]) -> set[str]:
    return {name.strip() for name in environ["CAPABILITIES"].split(",")}


def with_port(base_url: str, port: str) -> str:
    return f"{base_url.rpartition(':')[0]}:{port}"


def asks_ai(environ: Mapping[str, str]) -> bool:
    """Whether a product that is on has the setting of an AI provider's address."""
    on = products_on(environ)
    sections = [each.settings for each in CAPABILITIES if each.name in on and each.settings is not None]
    return any(name.lower() in section.model_fields for section in sections for name in AI_VARIABLES)


def first_calls(base_url: str, environ: Mapping[str, str]) -> str:
    """Of the products that are on."""
    on, account = products_on(environ), new_account(base_url)
    if "predict" in on:
        shown = f"A first prediction, to paste into another terminal:\n\n{account}\n{first_prediction(base_url)}\n\n"
    else:
        shown = f"A new account, to paste into another terminal:\n\n{account}\n\n"
    if "solve" in on:
        shown += f"A first solution of a picture (run the lines above first):\n\n{first_solve(base_url)}\n\n"
    return shown


def first_help(base_url: str, services: Services, environ: Mapping[str, str]) -> str:
    """With the stand-in's key, where it stands in for OpenRouter."""
    if "commands" not in products_on(environ) or "OPENROUTER_BASE_URL" not in services.lent_by_ai:
        return ""
    asked = first_command(base_url, shown(services.ai_settings))
    return f"First help with a command (run the lines above first):\n\n{asked}\n\n"


def first_purchases(base_url: str, services: Services, environ: Mapping[str, str]) -> str:
    """With the stand-ins that were started."""
    shown = ""
    if services.app_store:
        in_an_app = first_purchase_in_an_app(base_url, environ["APPLE_PRODUCTION_URL"])
        if "predict" in products_on(environ):
            in_an_app += f"\n{usage_of_predictions(base_url)}"
        shown += f"A first purchase in an app, from the App Store (run the lines above first):\n\n{in_an_app}\n\n"
    if services.stripe:
        instead = "Or on the web" if shown else "A first purchase on the web (run the lines above first)"
        on_the_web = first_purchase_on_the_web(base_url)
        shown += f"{instead}: open the checkout_url in the answer, and press a button there:\n\n{on_the_web}\n\n"
    if services.stripe and services.postgres is not None and "shop" in products_on(environ):
        shown += f"A first order in the shop (run the lines above first):\n\n{first_order(base_url)}\n\n"
    return shown


def remark_on_payments(services: Services, environ: Mapping[str, str]) -> str:
    """The stand-ins that were started."""
    stand_ins = {
        "Stripe": environ["STRIPE_API_BASE"] if services.stripe else None,
        "App Store": environ["APPLE_PRODUCTION_URL"] if services.app_store else None,
    }
    shown = [f"{name} {url}" for name, url in stand_ins.items() if url]
    return f"Payments       stand-ins, nobody is charged: {', '.join(shown)}\n" if shown else ""


def remark_on_sign_in(environ: Mapping[str, str]) -> str:
    """The addresses of the stand-ins that are in use."""
    stand_ins = (("Apple", "APPLE_KEYS_URL"), ("Google", "GOOGLE_KEYS_URL"))
    urls = {name: urlsplit(environ.get(variable, "")) for name, variable in stand_ins}
    shown = [f"{name} http://{url.netloc}" for name, url in urls.items() if url.hostname == "127.0.0.1"]
    return f"Sign-in        stand-ins: {', '.join(shown)}\n" if shown else ""


def remark_on_ai(services: Services) -> str:
    titles = {
        "OPENAI": "OpenAI",
        "ANTHROPIC": "Anthropic",
        "GOOGLE": "Google",
        "GROQ": "Groq",
        "OPENROUTER": "OpenRouter",
    }
    lent = [title for name, title in titles.items() if f"{name}_BASE_URL" in services.lent_by_ai]
    if not lent:
        return ""
    address = urlsplit(services.lent_by_ai[f"{lent[0].upper()}_BASE_URL"]).netloc
    return f"AI             stand-ins, nobody is billed: {', '.join(lent)} http://{address}\n"


def remark_on_made_up_key(folder: Path) -> str:
    return (
        "PRIVATE_API_SECRET is not set, so a generated key signs the requests. Give the private server at PRIVATE_API_URL"
        f" the key\nin {shown(kept_file(folder))}, or set PRIVATE_API_SECRET to the key that it uses.\n\n"
    )


def shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
