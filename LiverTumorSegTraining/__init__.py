"""Headless training and evaluation of the networks that LiverTumorSeg runs."""
