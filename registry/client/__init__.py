"""A registry, spoken to as the user: references, credentials, and the client of OCI Distribution."""
