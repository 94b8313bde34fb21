"""The HTTP and WebSocket routes, one module per page of the documents."""
