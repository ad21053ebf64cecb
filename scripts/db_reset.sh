#!/bin/sh
# Delete all data and make the tables anew. Refused outside development.
cd "$(dirname "$0")/.." && exec make reset "$@"
