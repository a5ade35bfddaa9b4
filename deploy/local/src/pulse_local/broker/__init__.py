"""A development MQTT broker that behaves to its neighbours as EMQX 5.8.9 does."""
