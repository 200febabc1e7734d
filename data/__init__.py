"""Pictures: data YAMLs, labels, paired loading, degradations, made-up worlds, converters."""
