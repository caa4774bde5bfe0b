"""Warm workers: processes with everything loaded that execute one run at a time, and the launcher that asks them."""
