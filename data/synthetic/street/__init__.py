"""Street scenes."""
