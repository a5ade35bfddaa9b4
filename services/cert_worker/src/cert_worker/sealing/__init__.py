"""Seals the audit log: orders each tenant's rows, hashes them into a tree, signs its head, tells the world outside."""
