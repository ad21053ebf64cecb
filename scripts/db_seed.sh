#!/bin/sh
# Create accounts to look around with, and print how to sign in.
cd "$(dirname "$0")/.." && exec make seed "$@"
