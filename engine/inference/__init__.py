"""Inference on images and streams."""
