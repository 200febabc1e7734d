"""Timing side by side, each a script: `python -m bench.speed.NAME`."""
