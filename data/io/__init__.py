"""Reading and writing: images, labels, videos, manifests."""
