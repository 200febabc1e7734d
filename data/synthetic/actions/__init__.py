"""Clips of people who act."""
