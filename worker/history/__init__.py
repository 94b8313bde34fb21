"""Chat history exported from another AI or another personad, read as a stream, with one parser per source."""
