"""The detection loss, and rows of matched points."""
