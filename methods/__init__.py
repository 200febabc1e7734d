"""The systems that make a detector keep working when the image is bad, one file each, over one protocol (`base.py`)."""
