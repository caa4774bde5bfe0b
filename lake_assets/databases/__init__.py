"""Reading tables and queries of databases, as Arrow batches in the stored types. This folder does not know Dagster."""
