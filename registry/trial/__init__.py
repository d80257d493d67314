"""Trying a plugin: one real Envoy for a moment, with the plugin in it, and one request through."""
