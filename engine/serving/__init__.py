"""A page to watch a run in a browser: `detect.py --serve`."""
