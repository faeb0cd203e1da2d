"""Evaluation that does not flatter: metrics, lesion matching, aggregation, reports, and follow-up of one patient.

Arrays are [z, y, x]; spacings are given in the same order, in mm. The edge policy is written in docs/evaluation.md.
"""
