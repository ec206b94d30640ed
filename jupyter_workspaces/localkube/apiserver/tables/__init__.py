"""Tables: what kubectl prints of objects."""
