"""The way of one scan: preprocess, localise, infer, postprocess, measure; opens and writes no file."""
