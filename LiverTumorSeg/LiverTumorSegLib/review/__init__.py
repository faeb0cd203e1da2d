"""What decides in a reader's session: verdicts, sensitivity, merging, measures; arrays and frozen dataclasses only."""
