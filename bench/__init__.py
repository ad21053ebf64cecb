"""What a prediction costs, measured on this machine. `python -m bench --help`; docs/performance.md says how to read it."""
