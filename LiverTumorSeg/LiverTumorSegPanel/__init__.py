"""What touches Slicer: everything of the module that is neither its metadata nor the segmentation itself."""
