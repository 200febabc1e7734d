"""Soft labels of a teacher: cache, columns and prompts."""
