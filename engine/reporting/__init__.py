"""report.html: one file with tables, charts and images."""
