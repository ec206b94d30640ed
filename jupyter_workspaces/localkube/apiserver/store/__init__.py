"""Storage of objects, paged lists and watches."""
