"""A Dagster asset graph over a versioned data lake."""
