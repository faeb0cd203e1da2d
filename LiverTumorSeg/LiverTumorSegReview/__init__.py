"""The reader's page in a browser, on Slicer's own views; what decides lives in LiverTumorSegLib.review."""
