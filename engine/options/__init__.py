"""Options of each door, as frozen dataclasses. Free of torch, so that --help answers at once."""
