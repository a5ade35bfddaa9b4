"""Checks Pulse's audit log with nothing of Pulse: an export, a public key, and this package."""
