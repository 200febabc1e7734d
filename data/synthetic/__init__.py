"""Synthetic data sets, rendered from a seed."""
