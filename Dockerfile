# Plain Dockerfile syntax: both BuildKit and the classic builder take it.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
# A static binary needs nothing beside it, so that the image can start from scratch.
ENV RUSTFLAGS="-C target-feature=+crt-static"

# The dependencies are a layer of their own: they change seldom, and take most of the time. Cargo
# wants a source for everything that the manifests name; empty ones will do. And with --target the
# flags above are for the binary alone, not for procedural macros, which cannot be static.
COPY Cargo.toml Cargo.lock ./
COPY bench/Cargo.toml bench/
COPY tests/kit/Cargo.toml tests/kit/
RUN set -eu; \
    mkdir -p src tests/kit/src benches bench/src bench/benches; \
    echo 'fn main() {}' | tee src/main.rs bench/src/main.rs > bench/benches/core.rs; \
    touch src/lib.rs tests/kit/src/lib.rs; \
    for kind in test bench; do \
        dir=tests; [ "$kind" = test ] || dir=benches; \
        sed -n "/^\[\[$kind\]\]/,/^name/s/^name *= *\"\(.*\)\".*/\1/p" Cargo.toml \
            | while read -r name; do echo 'fn main() {}' > "$dir/$name.rs"; done; \
    done; \
    rustc -vV | sed -n 's/^host: //p' > triple; \
    cargo build --locked --release --bin netalias --target "$(cat triple)"

# Cargo goes by modification times, and COPY keeps those of the checkout: without the touch, the
# empty crate could pass for the newer one.
COPY src src
RUN set -eu; \
    touch src/lib.rs src/main.rs; \
    cargo build --locked --release --bin netalias --target "$(cat triple)"; \
    cp "target/$(cat triple)/release/netalias" /netalias; \
    /netalias --version

FROM scratch
LABEL org.opencontainers.image.title="netalias" \
      org.opencontainers.image.description="Docker's network-alias DNS as a service of its own: rotating answers from a live engine" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0 OR MIT" \
      org.opencontainers.image.source="https://github.com/netalias/netalias"
COPY --from=build /netalias /netalias
# In a container every address is its own; the default is loopback. Port 53 takes no capability
# there, since Docker 20.10 (net.ipv4.ip_unprivileged_port_start=0).
ENV NETALIAS_LISTEN=0.0.0.0:53
EXPOSE 53/udp 53/tcp
# A number, since there is no /etc/passwd. The engine's socket opens to its group:
# docker run --group-add "$(stat -c %g /var/run/docker.sock)".
USER 65532:65532
# The command gives up after 5 s and says why; a second more, and the engine keeps what it said.
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s --retries=3 CMD ["/netalias", "healthcheck"]
ENTRYPOINT ["/netalias"]
CMD ["serve"]
