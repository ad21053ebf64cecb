"""A page for developers that shows e-mails instead of sending them: the files of a mail folder, newest first.

It listens on loopback and refuses other host names, so that no web site can read it in a browser.
"""

import argparse
import html
import re
import signal
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from urllib.parse import urlsplit

NAME_FORM = re.compile(r"[A-Za-z0-9-]{1,64}")
LINK = re.compile(r"https?://[^\s<>\"']+")
MOST_SHOWN = 200
PAGE_POLICY = (
    "default-src 'none'; img-src data:; style-src 'self'; frame-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
EMAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'self'; form-action 'none'"
)
STYLE = """
:root { --ground: #fafaf9; --card: #ffffff; --ink: #1c1917; --rule: #e7e5e4; --accent: #1d4ed8; color-scheme: light dark }
@media (prefers-color-scheme: dark) {
  :root { --ground: #1c1917; --card: #292524; --ink: #f5f5f4; --rule: #44403c; --accent: #93c5fd }
}
body {
  margin: 0 auto; max-width: 900px; padding: 24px 16px; overflow-wrap: anywhere;
  font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
}
a { color: var(--accent) }
table { width: 100%; border-collapse: collapse }
th, td { padding: 8px; text-align: left; border-bottom: 1px solid var(--rule) }
pre, iframe { border: 1px solid var(--rule) }
pre { white-space: pre-wrap; padding: 16px; background: var(--card) }
iframe { width: 100%; height: 600px; background: #ffffff; color-scheme: light }
@media (max-width: 640px) {
  thead { display: none }
  tr, td { display: block }
  tr { padding: 8px 0; border-bottom: 1px solid var(--rule) }
  td { padding: 2px 0; border: 0 }
}
"""


@dataclass(frozen=True)
class Page:
    status: int
    text: str
    policy: str = PAGE_POLICY
    media_type: str = "text/html"


@dataclass(frozen=True)
class MailBox:
    """The e-mails of one folder."""

    folder: Path

    def answer(self, path: str) -> Page:
        if path == "/":
            return self._list()
        if path == "/style.css":
            return Page(200, STYLE, media_type="text/css")
        kind, _, name = path.strip("/").partition("/")
        message = self.message(name)
        if message is None or kind not in {"emails", "html"}:
            return Page(404, framed("Page not found", "<p>This e-mail does not exist. <a href='/'>All e-mails</a></p>"))
        if kind == "html":
            # Links of the e-mail open in a new tab: an e-mail must not replace the page that shows it.
            shown = body_of(message, "html").replace("<head>", '<head><base target="_blank">', 1)
            return Page(200, shown, EMAIL_POLICY)
        return Page(200, shown_email(name, message))

    def message(self, name: str) -> EmailMessage | None:
        file = self.folder / f"{name}.eml"
        if NAME_FORM.fullmatch(name) is None or not file.is_file():
            return None
        return read(file)

    def _list(self) -> Page:
        files = sorted(
            self.folder.glob("[!.]*.eml"), key=lambda file: (file.stat().st_mtime_ns, file.name), reverse=True
        )
        rows = "".join(row(file.stem, read(file)) for file in files[:MOST_SHOWN])
        head = "<thead><tr><th>To</th><th>Subject</th><th>When</th></tr></thead>"
        table = f"<table>{head}<tbody>{rows}</tbody></table>"
        return Page(
            200, framed("E-mails", table if rows else "<p>No e-mails yet. Reload this page after one was sent.</p>")
        )


def read(file: Path) -> EmailMessage:
    return message_from_bytes(file.read_bytes(), policy=policy.default)


def body_of(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    return "" if part is None else str(part.get_content())


def row(name: str, message: EmailMessage) -> str:
    to, subject, date = (html.escape(str(message[header])) for header in ("To", "Subject", "Date"))
    return f"<tr><td>{to}</td><td><a href='/emails/{name}'>{subject}</a></td><td>{date}</td></tr>"


def shown_email(name: str, message: EmailMessage) -> str:
    headers = "<br>".join(f"{each}: {html.escape(str(message[each]))}" for each in ("From", "To", "Date"))
    text = with_links(body_of(message, "plain"))
    return framed(
        str(message["Subject"]),
        f"<p><a href='/'>All e-mails</a></p><p>{headers}</p><pre>{text}</pre>"
        f"<iframe sandbox='allow-popups allow-popups-to-escape-sandbox' src='/html/{name}' title='As HTML'></iframe>",
    )


def with_links(text: str) -> str:
    shown, end = "", 0
    for found in LINK.finditer(text):
        address = html.escape(found[0])
        shown += html.escape(text[end : found.start()]) + f"<a href='{address}' rel='noreferrer'>{address}</a>"
        end = found.end()
    return shown + html.escape(text[end:])


def framed(title: str, content: str) -> str:
    title = html.escape(title)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'><link rel='icon' href='data:,'>"
        f"<link rel='stylesheet' href='/style.css'></head><body><h1>{title}</h1>{content}</body></html>"
    )


class MailBoxServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.box = MailBox(folder)
        self.own_names = {f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}"}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> None:
        self._thread = Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: MailBoxServer
    timeout = 10

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.own_names:
            return self.send(
                Page(403, "Open this page as http://127.0.0.1 or http://localhost.", media_type="text/plain")
            )
        return self.send(self.server.box.answer(urlsplit(self.path).path))

    def send(self, page: Page) -> None:
        content = page.text.encode()
        self.send_response(page.status)
        self.send_header("Content-Type", f"{page.media_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", page.policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: what stands in the addresses is of no use to anybody."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.mail_box", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(".data/mail"))
    parser.add_argument("--port", type=int, default=8025)
    options = parser.parse_args()
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    server = MailBoxServer(options.folder, options.port)
    server.start()
    print(f"mail box on {server.url}", flush=True)
    stop.wait()
    server.stop()


if __name__ == "__main__":
    main()
