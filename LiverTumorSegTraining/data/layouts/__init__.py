"""The layouts of data sets that are understood, one file each: `matches(root)` and `find(root, channels)`."""
