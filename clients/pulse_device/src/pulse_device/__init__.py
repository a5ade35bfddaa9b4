"""Enrol a device with Pulse and publish its readings over mutual TLS."""
