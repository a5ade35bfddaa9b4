# Keycloak with its database driver and health endpoint built in: `start` without --optimized rebuilds itself on every
# boot, which a read-only root file system rightly refuses.
#   docker build -f deploy/images/keycloak.Dockerfile -t pulse/keycloak:26.7.3 .
ARG KEYCLOAK_IMAGE=keycloak/keycloak:26.7.3

FROM ${KEYCLOAK_IMAGE} AS builder
ENV KC_DB=postgres KC_HEALTH_ENABLED=true KC_METRICS_ENABLED=true
RUN /opt/keycloak/bin/kc.sh build

FROM ${KEYCLOAK_IMAGE}
COPY --from=builder /opt/keycloak/ /opt/keycloak/
COPY --chmod=0444 deploy/keycloak/pulse-realm.json /opt/keycloak/data/import/pulse-realm.json
USER 1000
ENTRYPOINT ["/opt/keycloak/bin/kc.sh"]
CMD ["start", "--optimized", "--import-realm"]
