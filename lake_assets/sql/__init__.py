"""Read-only SQL over the assets of a lake at any ref, and over tables. Knows no Dagster, settings or command line."""
