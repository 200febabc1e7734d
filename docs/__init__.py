"""The documentation, and the scripts that draw its images and write its tables."""
