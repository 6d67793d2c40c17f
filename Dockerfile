# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
# Versions are Debian's of that day: what is pinned here could not be had after its next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates libssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --bin tokenbooth \
    && contrib/docker/rootfs target/release/tokenbooth /rootfs

# Without a shell, a package manager or anything else that could be asked to do something.
FROM scratch
COPY --from=build /rootfs/ /
# The folder of the database is the one place that may be written to.
COPY --from=build --chown=65532:65532 /rootfs/var/lib/tokenbooth/ /var/lib/tokenbooth/
# A name that begins with TOKEN is no secret.
# hadolint ignore=DL3064
ENV TOKENBOOTH_ENV=production \
    TOKENBOOTH_CONFIG_DIR=/etc/tokenbooth \
    TOKENBOOTH__SERVER__HOST=0.0.0.0
WORKDIR /var/lib/tokenbooth
VOLUME ["/var/lib/tokenbooth"]
USER 65532:65532
EXPOSE 8080
# Ready, and not merely alive: what waits for it wants to send requests. Docker itself ends nobody for being unhealthy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/bin/tokenbooth", "health"]
ENTRYPOINT ["/usr/bin/tokenbooth"]
CMD ["serve"]
