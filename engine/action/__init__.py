"""Task action."""
