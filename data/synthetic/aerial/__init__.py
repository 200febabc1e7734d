"""Aerial scenes."""
