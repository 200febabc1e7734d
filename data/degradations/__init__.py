"""Degradations of pictures, batched in torch on any device. `data/degrade.py` is the door to all of them."""
