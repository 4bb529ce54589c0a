# The recipes that CI calls; `just` alone lists them.
#
# Recipes that need what `just test` has built name their targets with `--workspace --test`, and not with `-p`: cargo then
# chooses the same features of all dependencies, and compiles none of them again.

default:
    @just --list

# What the README says passes the tests
test:
    cargo test --workspace --no-fail-fast

# Tests that need features which no package of the workspace turns on (what the node turns on is on in `just test`)
features:
    cargo test -p gaggle-typed -p gaggle --all-features

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
    for crate in shards lru paged ring singleflight limiter tls token serve group typed snapshot console peers follow follow-files follow-postgres proto discovery-dns discovery-file discovery-gossip transport-http transport-grpc api-http api-resp telemetry origin-sql origin-http origin-object origin-files; do \
        cargo check -q -p gaggle-$crate || exit 1; \
    done
    cargo check -q -p gaggle --no-default-features

# Each bench once, without measuring
bench-smoke:
    cargo test --workspace --bench '*'

# Every bench: layers, comparisons, memory, and the cluster
bench: bench-cluster
    cargo bench -p gaggle-benches --bench store --bench ring --bench singleflight --bench limiter --bench group --bench transport
    cargo bench -p gaggle-benches --bench compare_store --bench compare_ring --bench compare_singleflight --bench compare_singleflight_memory --bench memory
    cargo run --release -p gaggle-benches --example simulate

# Whole systems as processes: gaggle-node, golang/groupcache (with Go: interop/install), a bare axum handler
bench-cluster:
    cargo build --release -p gaggle-node
    cargo bench -p gaggle-benches --bench cluster

# What one request costs in instructions, allocations and clock reads (needs valgrind, a Debian package of that name)
instructions CASE="":
    cargo run --profile bench -p gaggle-benches --example instructions -- "{{CASE}}"

# The manual as a web site, in target/book (installs mdBook into target/mdbook: minutes, once)
book:
    test -x target/mdbook/bin/mdbook || { CARGO_TARGET_DIR=target/mdbook/build cargo install --quiet --locked --root target/mdbook mdbook --version 0.5.4 && rm -r target/mdbook/build; }
    target/mdbook/bin/mdbook build --dest-dir "{{justfile_directory()}}/target/book" docs

# The manual's links, commands, Rust and reference (GAGGLE_WRITE=1 writes the reference again)
manual:
    cargo test --workspace --bin gaggle-node metrics
    cargo test --workspace --test manual -- --include-ignored
    cargo test --workspace --doc manual

# The front door against its own description: generated requests, so many for each operation (needs Python with venv; schemathesis comes from PyPI; takes the demo's ports)
schemathesis EXAMPLES="50" SECONDS="600":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo test --workspace --test manual --no-run # builds the node
    bin=target/schemathesis/bin
    test -x "$bin/schemathesis" || { python3 -m venv target/schemathesis && "$bin/pip" install --quiet schemathesis==4.32.5; }
    target/debug/gaggle-node demo > target/schemathesis/node.log 2>&1 &
    node=$!
    trap 'kill "$node" 2>/dev/null; wait "$node" 2>/dev/null || true' EXIT
    ready=no
    for _ in $(seq 100); do
        kill -0 "$node" || { cat target/schemathesis/node.log >&2; exit 1; }
        if target/debug/gaggle-node health > /dev/null 2>&1; then ready=yes; break; fi
        sleep 0.1
    done
    test "$ready" = yes || { cat target/schemathesis/node.log >&2; exit 1; }
    timeout "$(({{SECONDS}} + 300))" "$bin/schemathesis" --config-file crates/api-http/openapi/schemathesis.toml run http://127.0.0.1:9999/openapi.json \
        --max-examples {{EXAMPLES}} --max-time {{SECONDS}} --generation-deterministic --request-timeout 10 --no-color

# The examples, each run to its end
examples:
    cargo build --workspace --examples
    target/debug/examples/one_group
    target/debug/examples/three_nodes
    target/debug/examples/army_roles --once
    target/debug/examples/embedded
    target/debug/examples/simulate 2000

# One ring with golang/groupcache itself (needs Go: interop/install, on Debian or Ubuntu)
interop:
    cargo test --workspace --test interop -- --ignored --nocapture --test-threads=1

# Origins and followers on PostgreSQL and MariaDB, which the tests start (needs the servers: deploy/databases/install, on Debian)
databases:
    cargo test --workspace --test servers --test mysql --test mysql_faults --test postgres --test postgres_faults -- --ignored
    cargo test --workspace --test measure --test notify --test rows --test setup --test standing --test stream -- --ignored
    cargo test --workspace --test databases -- --ignored --nocapture --test-threads=1

# The admin port's page in a browser, in front of a cluster; screenshots in target/page (needs Chromium: deploy/browser/install, on Debian)
page:
    cargo test --workspace --test page -- --ignored --test-threads=1

# The metrics page of a node and the alert rules, as Prometheus' own tool reads them (needs promtool: deploy/prometheus/install)
promtool:
    cargo test --workspace --test promtool -- --ignored

# The Kubernetes manifests, the base and each component, as kustomize renders them
kubernetes:
    #!/usr/bin/env bash
    set -euo pipefail
    if ! kubectl kustomize --help >/dev/null 2>&1; then
        echo "SKIPPED: kubectl is not installed, so the manifests were NOT rendered (https://kubernetes.io/docs/tasks/tools)" >&2
        exit 0
    fi
    cargo test --workspace --test deploy -- --ignored

# The port for Redis' clients beside Redis itself, and with its tools and redis-py (needs them: deploy/redis/install, on Debian)
resp:
    cargo test --workspace --test beside_redis --test resp -- --ignored --nocapture

# Gets a second of that port beside Redis, and the memory of idle connections (needs Redis: deploy/redis/install, on Debian)
bench-resp ROUNDS="15":
    cargo run --release -p gaggle-api-resp --example beside_redis -- {{ROUNDS}}
    cargo run --release -p gaggle-api-resp --example beside_redis -- idle

# The image and the Compose cluster, on a Docker engine (needs root and debootstrap: deploy/images/install, on Debian)
containers:
    cargo test --workspace --test containers -- --ignored --nocapture --test-threads=1

# Licences, advisories, duplicates (needs cargo-deny and its advisory database)
deny:
    cargo deny check

ci: test features fmt lint doc loom model alone bench-smoke examples package

# Packages every crate that is published, and checks them all as they would be downloaded: with nothing beside them but each other
package:
    #!/usr/bin/env bash
    set -euo pipefail
    rm -rf target/package/*.crate target/unpacked
    # Offline: with the index it takes a minute more, and what the lock file names was downloaded to build the workspace.
    cargo package --offline --workspace --allow-dirty --no-verify --exclude gaggle-benches --exclude gaggle-testservers
    mkdir target/unpacked
    # With new times (-m): the packages' own never change, and cargo would take what it knows from the last run.
    for crate in target/package/*.crate; do tar -xzmf "$crate" -C target/unpacked; done
    cp Cargo.lock target/unpacked
    {
        printf '[workspace]\nresolver = "3"\nmembers = ["*"]\n\n'
        # As in the workspace, so that dependencies need not be compiled again.
        sed -n '/^\[profile\.dev\]/,/^$/p' Cargo.toml
        printf '\n[patch.crates-io]\n'
        for folder in target/unpacked/*/; do
            folder=$(basename "$folder")
            for file in README.md LICENSE-APACHE LICENSE-MIT; do
                test -s "target/unpacked/$folder/$file" || { echo "$folder has no $file" >&2; exit 1; }
            done
            name=${folder%-[0-9]*}
            # Nothing depends on the programs.
            test -f "target/unpacked/$folder/src/main.rs" || printf '%s = { path = "%s" }\n' "$name" "$folder"
        done
    } > target/unpacked/Cargo.toml
    cargo check --manifest-path target/unpacked/Cargo.toml --target-dir target --workspace --all-targets --all-features

# Changes of public interfaces since a revision that a version number does not announce (needs cargo-semver-checks; nothing is published yet)
semver SINCE="HEAD~1":
    #!/usr/bin/env bash
    set -euo pipefail
    if ! cargo semver-checks --version 2>/dev/null; then
        echo "SKIPPED: cargo-semver-checks is not installed, so public interfaces were NOT compared (cargo install --locked cargo-semver-checks)" >&2
        exit 0
    fi
    cargo semver-checks --workspace --exclude gaggle-benches --exclude gaggle-testservers --baseline-rev "{{SINCE}}"
