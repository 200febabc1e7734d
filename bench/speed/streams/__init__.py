"""Timings of what is done with streams."""
