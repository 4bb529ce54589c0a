# The recipes that CI calls; `just` alone lists them.

default:
    @just --list

# What the README says passes the tests
test:
    cargo test --workspace --no-fail-fast

fmt:
    cargo fmt --all -- --check

lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features

# Interleavings of the singleflight, exhaustively up to a bound
loom:
    RUSTFLAGS="--cfg gaggle_loom" CARGO_TARGET_DIR=target/loom cargo test -p gaggle-singleflight --release --test loom

# Removals and freshness against a model, in thousands of random schedules
model SEEDS="10000":
    GAGGLE_SEEDS={{SEEDS}} cargo test -p gaggle-testkit --release --test model -- --nocapture

# A cluster of processes under random faults and load; GAGGLE_SEED=N repeats a run, a release build is used where it is newer
soak MINUTES:
    cargo test -p gaggle-node --test soak -- {{MINUTES}}

# Every crate builds and tests alone, with its own features only
alone:
    for crate in lru ring singleflight limiter tls token serve group peers discovery-dns discovery-file discovery-gossip transport-http transport-grpc api-http telemetry origin-sql origin-http origin-files; do \
        cargo check -q -p gaggle-$crate || exit 1; \
    done
    cargo check -q -p gaggle --no-default-features

# Each bench once, without measuring
bench-smoke:
    cargo test -p gaggle-benches --benches

# Every bench: layers, comparisons, memory, and the cluster
bench: bench-cluster
    cargo bench -p gaggle-benches --bench store --bench ring --bench singleflight --bench limiter --bench group --bench transport
    cargo bench -p gaggle-benches --bench compare_store --bench compare_ring --bench compare_singleflight --bench compare_singleflight_memory --bench memory
    cargo run --release -p gaggle-benches --example simulate

# Whole systems as processes: gaggle-node, golang/groupcache (with Go: interop/install), a bare axum handler
bench-cluster:
    cargo build --release -p gaggle-node
    cargo bench -p gaggle-benches --bench cluster

# The examples, each run to its end
examples:
    cargo run -q -p gaggle --example one_group
    cargo run -q -p gaggle --example three_nodes
    cargo run -q -p gaggle --example army_roles -- --once
    cargo run -q -p gaggle --example embedded
    cargo run -q -p gaggle-benches --example simulate -- 2000

# One ring with golang/groupcache itself (needs Go: interop/install, on Debian or Ubuntu)
interop:
    cargo test -p gaggle-node --test interop -- --ignored --nocapture --test-threads=1

# The image and the Compose cluster, on a Docker engine (needs root and debootstrap: deploy/images/install, on Debian)
containers:
    cargo test -p gaggle-node --test containers -- --ignored --nocapture --test-threads=1

# Licences, advisories, duplicates (needs cargo-deny and its advisory database)
deny:
    cargo deny check

ci: test fmt lint doc loom model alone bench-smoke examples
