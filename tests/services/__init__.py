"""Real services for tests, as processes on loopback with free ports: an S3 server, a proxy that injects faults."""
