"""From a data set to prepared cases: layouts, reading, verification, split, cache; draws no samples."""
