"""Authentication, authorization (RBAC), service account tokens and reviews."""
