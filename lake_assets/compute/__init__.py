"""Batch work on Arrow: functions on blocks of bytes and on row groups, whose results merge, and their executors."""
