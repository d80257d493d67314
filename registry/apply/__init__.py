"""What to apply: a plugin as each consumer's resource, pinned to the digest that this consumer compares."""
