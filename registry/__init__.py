"""Sidecargo, the OCI registry for Envoy and Istio Wasm plugins."""

__version__ = "0.1.0"
