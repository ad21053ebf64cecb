"""python -m sandbox.ai_server: AI providers to develop against, until it is interrupted.

The key of OpenAI is that of OPENAI_API_KEY, of the others likewise; else they are made up.
"""

import argparse
import json
import os
import signal
from pathlib import Path
from threading import Event

from sandbox.ai_server.next_answers import NextAnswer
from sandbox.ai_server.server import KEY_PREFIXES, AIServer


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.ai_server",
        description="Run stand-ins for OpenAI, Anthropic, Google, Groq and OpenRouter on loopback.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any free port)")
    parser.add_argument(
        "--settings",
        type=Path,
        default=Path(".data/ai/settings.json"),
        help="file for the variables that the API needs (default: .data/ai/settings.json)",
    )
    parser.add_argument(
        "--tokens-per-second", type=float, help="how fast streams come (default: as fast as they are read)"
    )
    options = parser.parse_args()
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    given = {face: os.environ.get(f"{face.upper()}_API_KEY", "").strip() for face in KEY_PREFIXES}
    usual = NextAnswer(tokens_per_second=options.tokens_per_second)
    server = AIServer(keys={face: key for face, key in given.items() if key}, port=options.port, usual=usual)
    server.start()
    try:
        write_settings(server, options.settings)
        shown = "\n".join(f"{face}: {server.base_url(face)}" for face in server.keys)
        print(f"{shown}\ncontrols: {server.url}/controls/\nsettings: {options.settings}", flush=True)
        stop.wait()
    finally:
        server.stop()


def write_settings(server: AIServer, file: Path) -> None:
    """The keys are among them: only the owner can read it."""
    settings = {f"{face.upper()}_API_KEY": key for face, key in server.keys.items()}
    settings |= {f"{face.upper()}_BASE_URL": server.base_url(face) for face in server.keys}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        json.dump(settings, opened)


if __name__ == "__main__":
    main()
