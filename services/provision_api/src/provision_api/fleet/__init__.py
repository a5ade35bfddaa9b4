"""Many devices: what they have in common, how a fleet gets in, and how a list of them is imported."""
