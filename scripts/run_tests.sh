#!/bin/sh
# Run the tests with coverage. It fails below 80 %. The report is in htmlcov/index.html.
cd "$(dirname "$0")/.." && exec make coverage "$@"
