"""Text that people see: without control characters, and without secrets."""
