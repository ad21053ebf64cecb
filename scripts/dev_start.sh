#!/bin/sh
# Start everything for development, at http://localhost:8000. Another port: ./scripts/dev_start.sh PORT=9000
cd "$(dirname "$0")/.." && exec make dev "$@"
