"""Networks: YAML rows, the detectors built from them, and the small networks that methods add while training."""
