"""Options of each script, as frozen dataclasses. Free of torch, so that --help answers at once."""
