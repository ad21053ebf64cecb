#!/bin/sh
# Upgrade the database to the latest migration.
cd "$(dirname "$0")/.." && exec make migrate "$@"
