# The targets that README speaks of. Each says what it needs when that is missing.

.PHONY: help demo demo-down build release test test-release lint bench setup

help:
	@echo "make demo           pushes become a running site with its services, on throwaway hosts on this machine"
	@echo "                    (root); DEMO=web make demo: two web servers alone"
	@echo "make demo-down      ends the demo and removes all of it"
	@echo "make release        the program as one static file"
	@echo "make test           all tests (those of the lab need root)"
	@echo "make test-release   the one static file as the edge in a container (root)"
	@echo "make lint           formatting, clippy, licences and advisories"
	@echo "make bench          the figures in docs/benchmarks.md"

demo:
	@scripts/demo

demo-down:
	@scripts/demo-down

setup:
	@scripts/setup test

build:
	cargo build --workspace

# One file without libraries, for this machine's processors. The target is named so that only the
# program is linked so, and not what the compiler itself loads.
host := $(shell rustc -vV | sed -n 's/^host: //p')
released = $(abspath $(or $(CARGO_TARGET_DIR),target))/$(host)/release/lotse
release:
	@scripts/setup build
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --package lotse --target $(host)
	@echo "built: $(released)"

# Fails when the file needs a library: the container would get it along, and it is to need none.
test-release: release setup
	! readelf --program-headers $(released) | grep -q INTERP
	LOTSE_PROGRAM=$(released) cargo test --package lotse --test edge_container

test: setup
	cargo test --workspace --no-fail-fast

lint:
	@scripts/setup build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- --deny warnings
	@scripts/lint-dependencies

bench:
	@scripts/setup bench
	cargo bench --package ci --bench compile
	cargo bench --package pipeline --bench processing
	cargo bench --package lotse --bench figures --bench proxies --bench deploys
