"""The development identity provider: Keycloak's paths and token shapes, four demo people, nothing kept but its key."""
