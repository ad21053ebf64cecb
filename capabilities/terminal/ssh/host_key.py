"""The key by which a server is known."""

from dataclasses import dataclass


@dataclass(frozen=True)
class HostKey:
    """`key` is as SSH sends it (RFC 4253, 6.6), `fingerprint` as OpenSSH shows it: `SHA256:…`."""

    algorithm: str
    key: bytes
    fingerprint: str
