"""Data sets of boxes: images, labels, augmentation and extra views."""
