"""Task classify."""
