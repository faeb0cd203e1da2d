"""A file becomes an image: a reader a format, series, stacks, headers, Hounsfield values, checks; segments nothing."""
