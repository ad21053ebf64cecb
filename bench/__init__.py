"""What a prediction and a webhook cost on this machine. `python -m bench --help`; docs/performance.md says how to read it."""
