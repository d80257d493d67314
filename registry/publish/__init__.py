"""The story of a push: judge, store, sign, tag."""
