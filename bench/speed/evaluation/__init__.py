"""Timing of evaluations."""
