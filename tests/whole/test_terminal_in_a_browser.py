"""The terminal page in a real browser, beside the realtime process, a real sshd and its stand-in."""

import re
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from sandbox.open_ssh import OpenSsh, find_sshd
from sandbox.ports import free_port
from sandbox.ssh_programs import Echo
from sandbox.ssh_server import USER, SshServer
from tests.browser import CHROMIUM, complaints_of
from tests.conftest import administer
from tests.databases import MigratedDatabases
from tests.realtime.realtime_process import RealtimeProcess
from tests.whole.environment import production_environment
from tests.whole.line import Line
from tests.whole.test_dashboard_in_a_browser import FINDINGS
from tests.whole.web_server import Person, WebServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
REFUSED = re.compile(
    r"error: (?:WebSocket connection to|Failed to load resource: the server responded with a status of 4)"
)
"""What Chromium says of a connection that is lost, and of an answer that the page shows as a problem."""


@dataclass(frozen=True)
class Behind:
    """What stands behind the browser. `line` leads to the socket."""

    server: WebServer
    line: Line
    database_url: str

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.port}"

    def person(self) -> Person:
        person = self.server.register("alice")
        administer(
            self.database_url,
            f"UPDATE users SET tier = 'pro', state_version = state_version + 1 WHERE id = '{person.user_id}'",
        )
        return person


@pytest.fixture(scope="module")
def behind(
    migrated_databases: MigratedDatabases, valkey_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Behind]:
    """In development, because nothing here has a certificate."""
    folder, port = tmp_path_factory.mktemp("terminal"), free_port()
    with migrated_databases.one() as database_url, ExitStack() as running:
        line = Line(port)
        running.callback(line.close)
        environ = production_environment(database_url, "https://predict.example.com", valkey_server)
        environ |= {"FLASK_ENV": "development", "CAPABILITIES": "terminal", "TERMINAL_ALLOWED_NETWORKS": "127.0.0.1/32"}
        environ |= {"REALTIME_PUBLIC_URL": f"http://127.0.0.1:{line.port}", "REALTIME_DRAIN_SECONDS": "0"}
        server = WebServer(environ, folder)
        page = {"CORS_ORIGINS": f"http://127.0.0.1:{server.port}"}
        realtime = RealtimeProcess(environ | page, folder, "-m", "flask", "realtime", "run")
        realtime.port = port
        for process in (server, realtime):
            running.callback(process.stop)
            process.start()
        yield Behind(server, line, database_url)


@pytest.fixture
def page(behind: Behind, browser: Browser) -> Iterator[Page]:
    context = browser.new_context(base_url=behind.address, viewport=DESKTOP)  # type: ignore[arg-type]
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    complaints = complaints_of(page, behind.address)
    yield page
    context.close()
    assert [each for each in complaints if not REFUSED.match(each)] == []


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[OpenSsh]:
    if find_sshd() is None:
        pytest.skip("sshd is not installed")
    server = OpenSsh(tmp_path / "sshd")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stand_in() -> Iterator[SshServer]:
    server = SshServer(password=secrets.token_hex(8))
    server.program = Echo()
    server.start()
    yield server
    server.stop()


def open_page(page: Page, person: Person) -> None:
    """By the short address, which asks for the sign-in."""
    page.goto("/terminal")
    page.get_by_label("E-mail address").fill(person.email)
    page.get_by_label("Password").fill(person.password)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("You have no servers yet")).to_be_visible()


def add_server(page: Page, name: str, port: int, username: str, auth: str) -> None:
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Host name or IP address").fill("127.0.0.1")
    page.get_by_label("Port", exact=True).fill(str(port))
    page.get_by_label("User name there").fill(username)
    page.get_by_label("Sign in with").select_option(auth)
    page.get_by_role("button", name="Add server").click()
    expect(page.get_by_role("button", name=f"Connect: {name}")).to_be_visible()


def shows(page: Page, text: str) -> None:
    expect(page.locator(".xterm-rows")).to_contain_text(text)


def run(page: Page, command: str) -> None:
    page.keyboard.type(command)
    page.keyboard.press("Enter")


def look_over(page: Page, picture: str, folder: Path) -> None:
    """At both widths, in both schemes."""
    for name, size in (("phone", PHONE), ("desktop", DESKTOP)):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        for scheme in ("dark", "light"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(FINDINGS) == [], f"{picture} at {name}"
            page.screenshot(
                path=folder / f"{picture}-{name}-{scheme}.png", caret="initial"
            )  # it would be hidden by styles


def test_a_shell_on_a_real_server(page: Page, behind: Behind, sshd: OpenSsh, tmp_path: Path) -> None:
    open_page(page, behind.person())
    look_over(page, "empty", tmp_path)
    page.get_by_text("SSH keys", exact=True).click()
    page.get_by_label("Name of a new key").fill("laptop")
    page.get_by_role("button", name="Make a key").click()
    line = page.locator("#ssh-keys code")
    expect(line).to_contain_text("ssh-ed25519 ")
    sshd.let_in(line.inner_text())
    add_server(page, "My server", sshd.port, sshd.user, "key")
    look_over(page, "servers", tmp_path)

    page.get_by_role("button", name="Connect: My server").click()
    expect(page.locator("#host-key-fingerprint")).to_have_text(sshd.fingerprint)
    look_over(page, "host-key", tmp_path)
    page.get_by_role("button", name="It is the same, connect").click()
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
    # Not typed as they are: of keys that no keyboard has, a browser under load once lost some.
    characters = r"gr\303\266\303\237er \347\255\224\343\201\210"
    run(page, f"PS1='> '; clear; printf 'answer %d {characters}\\n' $((6 * 7))")
    shows(page, "answer 42 größer 答え")
    run(page, r"printf '\e[38;2;200;40;40mcoloured\e[0m \e[31mred\e[0m\n'")
    expect(page.locator(".xterm-rows span", has_text="coloured").last).to_have_css("color", "rgb(200, 40, 40)")
    rows = page.locator(".xterm-rows > div")
    before = rows.count()
    page.set_viewport_size({"width": 900, "height": 500})
    expect(rows).not_to_have_count(before)
    run(page, "echo size $(stty size)")
    shows(page, f"size {rows.count()} ")
    look_over(page, "shell", tmp_path)

    may_not_use_the_clipboard_unasked(page)
    opens_no_link_unasked(page)

    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("heading", name="Still running")).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Continue: My server").click()
    shows(page, "bad good")
    run(page, "echo still $((40 + 2)); exit 3")
    expect(page.get_by_text("The shell has ended with status 3.")).to_be_visible()
    shows(page, "still 42")


def may_not_use_the_clipboard_unasked(page: Page) -> None:
    clipboard = "navigator.clipboard.readText()"
    page.evaluate("navigator.clipboard.writeText('mine')")
    run(page, r"clear; printf '\e]52;c;?\a'; printf '\e]52;c;c3RvbGVu\a'; echo tried $((1 + 1))")
    shows(page, "tried 2")
    assert page.evaluate(clipboard) == "mine"
    page.get_by_text("Options").click()
    page.get_by_label("Programs may put text into my clipboard").check()
    page.get_by_text("Options").click()
    page.locator(".xterm-screen").click()
    run(page, r"clear; printf '\e]52;c;?\a'; printf '\e]52;c;Z2l2ZW4=\a'; echo again $((1 + 1))")
    shows(page, "again 2")
    page.wait_for_function(f"{clipboard}.then((text) => text === 'given')")
    expect(page.locator(".xterm-rows")).not_to_contain_text("bWluZQ")  # what an answer would have typed


def opens_no_link_unasked(page: Page) -> None:
    run(page, r"clear; printf '\e]8;;javascript:alert(1)\abad\e]8;;\a \e]8;;https://example.com/here\agood\e]8;;\a\n'")
    shows(page, "bad good")
    click_on(page, "good")
    expect(page.locator("#link-address")).to_have_text("https://example.com/here")
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    click_on(page, "bad")
    expect(page.get_by_role("dialog")).to_have_count(0)


def click_on(page: Page, text: str) -> None:
    """xterm.js has a layer above the text, which finds out what is below the mouse."""
    box = page.locator(".xterm-rows span", has_text=text).last.bounding_box()
    assert box is not None
    at = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*at)
    page.wait_for_timeout(100)
    page.mouse.click(*at)


def test_a_phone_on_a_train(page: Page, behind: Behind, stand_in: SshServer, tmp_path: Path) -> None:
    """A password, keys that phones do not have, a line that is cut, a second device, and a server that is not the same any more."""
    assert isinstance(stand_in.program, Echo) and stand_in.password is not None
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.emulate_media(color_scheme="dark")
    open_page(page, behind.person())
    add_server(page, "Train", stand_in.port, USER, "password")
    page.get_by_role("button", name="Connect: Train").click()
    page.get_by_role("button", name="It is the same, connect").click()
    answer = page.locator("#question-answer")
    expect(answer).to_be_focused()
    expect(answer).to_have_attribute("type", "password")
    look_over(page, "password", tmp_path)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    answer.fill(stand_in.password)
    answer.press("Enter")
    expect(page.get_by_role("status").filter(has_text="Connected")).to_be_visible()
    assert stand_in.password not in page.content()

    page.keyboard.type("before")
    shows(page, "before")
    for key in ("Esc", "Tab", "Up", "Ctrl"):
        page.get_by_role("toolbar").get_by_role("button", name=key, exact=True).click()
    page.keyboard.type("cd")
    behind.line.cut()
    expect(page.get_by_role("status").filter(has_text="Connection lost")).to_be_visible()
    page.keyboard.type("-between-")
    look_over(page, "lost", tmp_path)
    behind.line.mended.set()
    page.keyboard.type("after")
    shows(page, "-between-after")
    assert bytes(stand_in.program.typed) == b"before\x1b\t\x1b[A\x03d-between-after"

    other = page.context.new_page()
    other.goto("/terminal")
    other.get_by_role("button", name="Continue: Train").click()
    shows(other, "-between-after")
    other.keyboard.type("+")
    shows(other, "-between-after+")
    expect(page.get_by_text("Another window or device has this session now.")).to_be_visible()
    page.get_by_role("button", name="Take it back").click()
    expect(other.get_by_text("Another window or device has this session now.")).to_be_visible()
    other.close()
    page.locator(".xterm-screen").click()
    page.keyboard.type("!")
    shows(page, "-between-after+!")
    page.get_by_text("Options").click()
    page.get_by_role("button", name="End session").click()
    page.get_by_role("dialog").get_by_role("button", name="End session").click()
    expect(page.get_by_text("The session has ended.")).to_be_visible()

    stand_in.change_key()
    page.get_by_role("button", name="Connect again").click()
    expect(page.get_by_text("another host key than the one you accepted")).to_be_visible()
    look_over(page, "changed", tmp_path)
    page.get_by_role("button", name="Show known host keys").click()
    page.get_by_role("button", name=f"Remove: 127.0.0.1:{stand_in.port}").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(page.get_by_text("You have not accepted a host key yet.")).to_be_visible()


def test_questions_of_a_server_are_shown_as_it_says(page: Page, behind: Behind) -> None:
    code = secrets.token_hex(4)
    server = SshServer(questions=[("Your code", True), ("Your PIN", False)], answers=[code, "1234"])
    server.start()
    try:
        open_page(page, behind.person())
        add_server(page, "Careful", server.port, USER, "keyboard")
        page.get_by_role("button", name="Connect: Careful").click()
        page.get_by_role("button", name="It is the same, connect").click()
        for question, kind, text in (("Your code", "text", code), ("Your PIN", "password", "1234")):
            field = page.get_by_label(question)
            expect(field).to_have_attribute("type", kind)
            field.fill(text)
            field.press("Enter")
        shows(page, "hello")
        expect(page.get_by_text("The shell has ended.")).to_be_visible()
    finally:
        server.stop()


CLIENT = """async () => {
    const { TerminalSocket } = await import("/portal/terminal/assets/terminal_socket.js");
    const made = [], states = [], tokens = [], shown = [];
    window.WebSocket = class {
        static OPEN = 1;
        readyState = 0;
        sent = [];
        constructor() { made.push(this); setTimeout(() => { this.readyState = 1; this.onopen(); }); }
        send(text) { this.sent.push(JSON.parse(text)); }
        close() { this.readyState = 3; }
        hears(message) { this.onmessage({ data: JSON.stringify(message) }); }
        of(type) { return this.sent.filter((each) => each.type === type); }
    };
    const next = (number) => new Promise((resolve) => {
        const look = () => made[number]?.sent.length ? resolve(made[number]) : setTimeout(look, 10);
        look();
    });
    const until = (is) => new Promise((resolve) => {
        const look = () => is() ? resolve() : setTimeout(look, 10);
        look();
    });
    const token = async (renewed) => { tokens.push(renewed); return `token ${tokens.length}`; };
    const socket = new TerminalSocket("ws://example.com", { token, told: { state: (...state) => states.push(state) } });
    const told = { output: (text, done) => { shown.push(text); done(); }, resumed: ({ missed }) => shown.push(missed) };
    const shell = socket.open("id", { rows: 24, cols: 80, told });
    const first = await next(0);
    first.hears({ type: "authenticated", data: { expires_at: Date.now() / 1000 + 2 } });
    first.hears({ type: "connected", session_id: "id", data: { rows: 24, cols: 80, seq: 0, input_seq: 0 } });
    const taken = ["a", "b", "x".repeat(20_000), "y".repeat(300_000)].map((text) => shell.type(text));
    first.hears({ type: "input_ack", session_id: "id", data: { input_seq: 1 } });
    first.hears({ type: "output", session_id: "id", data: "hello", seq: 70_000 });
    await until(() => first.of("auth").length === 2);
    first.hears({ type: "going_away", data: { retry_after: 0.2 } });
    first.onclose({ code: 1012 });
    const [, { seconds }] = states.at(-1);
    const second = await next(1);
    second.hears({ type: "authenticated", data: { expires_at: Date.now() / 1000 + 900 } });
    second.hears({ type: "output", session_id: "id", data: "too early", seq: 70_009 });
    second.hears({ type: "resumed", session_id: "id", data: { from_seq: 70_010, missed: 10, input_seq: 2 } });
    second.onclose({ code: 4401 });
    (await next(2)).onclose({ code: 4401 });
    return {
        taken, tokens, shown, seconds,
        acks: first.of("ack").map((each) => each.data.seq),
        resumed: second.of("resume").map((each) => each.data.after_seq),
        again: second.of("input").map((each) => [each.input_seq, each.data.length]),
        end: [states.at(-1)[0], states.at(-1)[1].code],
    };
}"""


def test_the_client_renews_its_token_comes_back_and_knows_when_not_to(page: Page) -> None:
    """Against a server that says what real ones seldom say."""
    page.goto("/portal/sign-in")
    told = page.evaluate(CLIENT)
    assert told["taken"] == [True, True, True, False]  # the last one is more than it keeps
    assert told["tokens"] == [False, True, False, True]  # renewed before its end, and after it was refused
    assert (told["acks"], told["resumed"], told["shown"]) == ([70_000], [70_000], ["hello", 10])
    assert told["again"] == [[3, 16_384], [4, 3_616]]
    assert 0.2 < told["seconds"] <= 0.7
    assert told["end"] == ["failed", 4401]
