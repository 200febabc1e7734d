"""The systems that make a detector keep working when the picture is bad, one file each, over one protocol (`base.py`)."""
