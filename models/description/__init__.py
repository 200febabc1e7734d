"""What a network description may contain: names of layers, numbers, and the cost of what it describes."""
