"""What stands in for sshd in `make run`, where none is installed."""

import asyncio

import asyncssh

from sandbox.ssh_programs import LineShell
from sandbox.ssh_server import SshServer


async def typed(server: SshServer, key: asyncssh.SSHKey, text: str) -> asyncssh.SSHCompletedProcess:
    async with asyncssh.connect(
        "127.0.0.1",
        server.port,
        username=server.user,
        client_keys=[key],
        known_hosts=None,
        config=None,
        agent_path=None,
    ) as connection:
        return await connection.run(input=text, term_type="xterm")


def test_it_repeats_lines_until_exit() -> None:
    server, key = SshServer(), asyncssh.generate_private_key("ssh-ed25519")
    server.program = LineShell()
    server.let_in(key.export_public_key().decode())
    server.start()
    try:
        done = asyncio.run(typed(server, key, "helo\x7flo\rnot this\x03exit\r"))
    finally:
        server.stop()
    assert done.exit_status == 0
    assert str(done.stdout).endswith("> helo\b \blo\r\nhello\r\n> not this^C\r\n> exit\r\n")
