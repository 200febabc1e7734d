"""`prepare.py check`: what is wrong with a data set, and what would help."""
