"""Shelf scenes with a long tail of classes."""
