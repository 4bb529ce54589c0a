# gaggle-node in an image without a shell. Needs neither BuildKit nor any tool beside Cargo.

# All manifests, and of the sources only as much as Cargo needs to accept them. The next stage takes this tree by its content:
# the layer with the compiled dependencies is good until a manifest or the lock file changes.
FROM rust:1.95-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name '*.rs' ! -name Cargo.toml ! -name Cargo.lock -delete \
    && find . -type f -name '*.rs' ! -path '*/src/lib.rs' ! -path '*/src/main.rs' ! -path './benches/layers/*' ! -name build.rs -delete \
    && find . -type f -name '*.rs' -exec sh -c 'for file; do echo "fn main() { }" > "$file"; done' sh {} + \
    && find . -type d -empty -delete

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY --from=manifests /src .
RUN cargo build --release --locked -p gaggle-node -p gagglectl
COPY . .
# Cargo compares times, and the sources may be older than what was built in their stead a moment ago.
RUN find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked -p gaggle-node -p gagglectl \
    && mkdir -p /image/usr/local/bin /image/etc/gaggle /image/data \
    && cp target/release/gaggle-node target/release/gagglectl /image/usr/local/bin/ \
    && cp deploy/images/gaggle.toml /image/etc/gaggle/

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /image /
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
# The front door, the peers' port, and the admin endpoints.
EXPOSE 9999 8001 9990
STOPSIGNAL SIGTERM
# Of the node and of its health check, which has to know where the admin port is and whether it speaks TLS. Whoever configures
# otherwise sets this, or gives the flag to both.
ENV GAGGLE_CONFIG=/etc/gaggle/gaggle.toml
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=2 CMD ["/usr/local/bin/gaggle-node", "health"]
ENTRYPOINT ["/usr/local/bin/gaggle-node"]
CMD ["serve"]
