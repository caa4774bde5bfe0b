"""Reading messages of streams and queues, from a position that is kept in the lake. It does not know Dagster."""
