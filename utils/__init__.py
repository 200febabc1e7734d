"""Leaves of the house: options, files, metrics, plots. Nothing here imports another package of the project."""
