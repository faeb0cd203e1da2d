"""The training recipe and its readable errors; reads no data."""
