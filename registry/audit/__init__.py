"""Who did what: a record for each change and each refusal, and where they are kept."""
