"""Speed next to other tools, on the same input."""
