"""Measurements side by side, each a script: `python -m bench.NAME`. Results stay in bench/results/."""
