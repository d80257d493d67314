"""The hot path: hits answered from memory before there is a task, and the connection's guards."""
