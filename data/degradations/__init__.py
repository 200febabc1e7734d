"""Degradations of images, batched in torch on any device. `data/degrade.py` is the script to all of them."""
