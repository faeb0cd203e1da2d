"""Liver and liver-tumour segmentation of CT: the core shared by the Slicer panel, the command line and training."""

__version__ = "0.1.0"
