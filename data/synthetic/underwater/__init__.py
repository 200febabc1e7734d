"""Underwater scenes."""
