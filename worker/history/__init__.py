"""Chat history that another AI, or another personad, handed out: read as a stream, one parser for each source."""
