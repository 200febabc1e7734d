"""Files that others write too: locks, bounded reading, archives that hold no more than their size."""
