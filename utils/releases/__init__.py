"""Official checkpoints: which there are, and how one is fetched when that is asked for."""
