"""Frame libraries and file formats: how frames are recognised, written to the lake and read from it."""
