"""The training loop and what belongs to a run: losses, schedule, validation, warm start, folds, search, run files."""
