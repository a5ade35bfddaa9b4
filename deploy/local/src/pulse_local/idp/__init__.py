"""The development identity provider: Keycloak's paths, pages and token shapes; only its key is kept."""
