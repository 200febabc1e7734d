"""Day-to-night translation."""
