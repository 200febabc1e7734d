"""Data sets of classes: image folders and their augmentation."""
