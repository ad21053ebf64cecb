"""The proxies of `deploy/`, with the addresses of a test in place of the example's."""

import http.client
import os
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.child_process import ChildProcess
from sandbox.ports import free_port
from tests.whole.environment import PUBLIC_HOST
from tests.whole.web_server import ROOT

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
CADDY = shutil.which("caddy", path=Path(sys.executable).parent)  # of the wheel
START_SECONDS = 15
ATTEMPTS = 3
NOWHERE = 9
"""A port at which nobody listens."""
MAIN_CONFIGURATION = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    include {folder}/mirroros.conf;
}}
"""

Connect = Callable[[float], http.client.HTTPConnection]


@dataclass(frozen=True)
class Proxy:
    """`connect` makes a connection of a client, with its patience in seconds."""

    connect: Connect
    log_file: Path

    def logs(self) -> str:
        """Also what it was told to write beside its output."""
        return "".join(each.read_text() for each in self.log_file.parent.glob("*.log"))


@contextmanager
def caddy(web_servers: Sequence[int], folder: Path, realtime: int = NOWHERE) -> Iterator[Proxy]:
    """With the shipped file, unencrypted as on a developer's machine."""
    assert CADDY is not None

    def program(port: int) -> ChildProcess:
        environ = {
            "HOME": str(folder),
            "CADDY_ADMIN": f"unix/{folder}/caddy-admin",
            "SITE_ADDRESS": f"http://:{port}",
            "WEB_SERVERS": " ".join(f"127.0.0.1:{each}" for each in web_servers),
            "REALTIME_SERVER": f"127.0.0.1:{realtime}",
        }
        command = [CADDY, "run", "--config", str(ROOT / "deploy" / "Caddyfile"), "--adapter", "caddyfile"]
        return ChildProcess("caddy", command, environ, folder, folder / "caddy.log")

    with started(program) as (port, log_file):
        yield Proxy(lambda patience: http.client.HTTPConnection("127.0.0.1", port, patience), log_file)


@contextmanager
def nginx(web_servers: Sequence[int], folder: Path, realtime: int = NOWHERE) -> Iterator[Proxy]:
    """With the shipped file and its TLS. It names two servers; more are added as an operator adds them."""
    assert NGINX is not None
    certificate, key = write_certificate(folder)
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.check_hostname = False  # clients connect to loopback
    # A client of WebSocket reads in one thread and writes in another, and TLS 1.3 lets a read change what a write uses.
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2

    def program(port: int) -> ChildProcess:
        text = (ROOT / "deploy" / "nginx.conf").read_text(encoding="utf-8").replace("/var/log/nginx/", f"{folder}/")
        more = "".join(f"\tserver 127.0.0.1:{port} max_fails=0;\n" for port in web_servers[2:])
        for old, new in {
            "127.0.0.1:8001": f"127.0.0.1:{web_servers[0]}",
            "127.0.0.1:8002": f"127.0.0.1:{web_servers[1]}",
            "\tkeepalive 64;\n": f"{more}\tkeepalive 64;\n",
            "127.0.0.1:8003": f"127.0.0.1:{realtime}",
            "listen 80;": f"listen unix:{folder}/plain;",
            "listen 443 ": f"listen 127.0.0.1:{port} ",
            f"/etc/letsencrypt/live/{PUBLIC_HOST}/fullchain.pem": str(certificate),
            f"/etc/letsencrypt/live/{PUBLIC_HOST}/privkey.pem": str(key),
        }.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (folder / "mirroros.conf").write_text(text, encoding="utf-8")
        (folder / "nginx.conf").write_text(MAIN_CONFIGURATION.format(folder=folder), encoding="utf-8")
        (folder / "plain").unlink(missing_ok=True)
        command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
        return ChildProcess("nginx", command, {"PATH": os.environ["PATH"]}, folder, folder / "nginx.log")

    with started(program) as (port, log_file):
        yield Proxy(
            lambda patience: http.client.HTTPSConnection("127.0.0.1", port, timeout=patience, context=trusting),
            log_file,
        )


@contextmanager
def started(make: Callable[[int], ChildProcess]) -> Iterator[tuple[int, Path]]:
    """On a free port. Another program may take it first, so there is more than one attempt."""
    for _ in range(ATTEMPTS):
        port = free_port()
        program = make(port)
        program.start()
        if listens(port, program):
            try:
                yield port, program.log_file
            finally:
                program.stop(10)
            return
        program.stop(0)
    raise AssertionError(f"{program.name} did not start:\n{program.output()[-3000:]}")


def listens(port: int, program: ChildProcess) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and program.exit_code is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return program.exit_code is None
    return False


def write_certificate(folder: Path) -> tuple[Path, Path]:
    """Of a server that certifies itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, PUBLIC_HOST)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(private)
    return folder / "certificate.pem", folder / "key.pem"
