"""Time series in the lake: samples of metrics with labels, merged by labels and time. It does not know Dagster."""
