"""What is painted over images."""
