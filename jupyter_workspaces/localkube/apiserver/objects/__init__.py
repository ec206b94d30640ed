"""Objects of the API server: the engine and the rules of built-in kinds."""
