"""Tests with real parts: clients, Envoy, istio-agent's own code, docker, the conformance suite."""
