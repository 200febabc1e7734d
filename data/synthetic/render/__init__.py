"""Deferred renderer: primitives, rasterizer, lighting."""
