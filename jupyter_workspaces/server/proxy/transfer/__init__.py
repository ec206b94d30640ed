"""Transfer of requests, responses and WebSocket frames."""
