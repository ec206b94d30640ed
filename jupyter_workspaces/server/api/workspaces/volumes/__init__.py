"""Claims and storage classes (contract operations 21 to 24)."""
