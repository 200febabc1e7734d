"""Options of each method. Free of torch, so that `--help` is quick."""
