#!/bin/sh
# Format the code (Black), lint it with fixes (Ruff), check the types (mypy).
cd "$(dirname "$0")/.." && exec make format typecheck "$@"
