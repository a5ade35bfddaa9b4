"""Alerts on readings: rules, judging, what follows from silence, and what tenants decide."""
