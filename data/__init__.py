"""Images: data YAMLs, labels, paired loading, degradations, synthetic data sets, converters."""
