"""What every HTTP API of the server shares."""
