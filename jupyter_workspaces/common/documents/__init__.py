"""JSON and YAML from others, read within bounds: size, depth, number of values, and what aliases and patches make of them."""
