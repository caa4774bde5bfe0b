"""Where stock files come from: over real sockets, real folders, and a real S3 client."""
