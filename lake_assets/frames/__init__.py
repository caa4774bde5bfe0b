"""Frames of pandas and Spark: recognised, written to the lake and read from it."""
