"""The method `mean-teacher`: `method` trains; `pseudo_labels`, `thresholds` and `views` are its parts; `frames` a command."""
