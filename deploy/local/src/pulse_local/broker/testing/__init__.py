"""Fakes and clients for tests that need a running broker; nothing of it runs in the stack."""
