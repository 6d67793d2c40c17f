.DEFAULT_GOAL := help
.PHONY: help demo test faults fuzz lint openapi screenshots deb deny bench bench-micro bench-scale \
	bench-instructions

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Try the service with a mock Google and GitHub: no account, no network, no settings
	cargo run -- demo

test: ## All tests, on SQLite and PostgreSQL
	TOKENBOOTH_REQUIRE_POSTGRES=1 cargo test
	cargo test -p tokenbooth-benches

faults: ## PostgreSQL under faults for SECONDS=600: switchovers, freezes, stalls (apt install postgresql pgbouncer)
	TOKENBOOTH_REQUIRE_POSTGRES=1 TOKENBOOTH_FAULTS_SECONDS=$(or $(SECONDS),600) \
		cargo test --test faults -- --nocapture

fuzz: ## Every parser that strangers reach, for some ten minutes (FACTOR=60); fuzz/ does it with coverage, on nightly
	PROPTEST_CASES=$(or $(FACTOR),60)000 cargo test --lib fuzzed
	TOKENBOOTH_FUZZ_FACTOR=$(or $(FACTOR),60) cargo test --test fuzz -- --nocapture

lint: ## Formatting, clippy, documentation and layout, each without a warning
	cargo fmt --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	.ci/check-layout

# By way of a second file: a failed build must not leave an empty document behind.
openapi: ## Write docs/openapi.json and postman/ anew
	cargo build
	@set -e; write() { \
		file=$$1; shift; \
		cargo run --quiet -- openapi "$$@" > "$$file.new" || { rm -f "$$file.new"; exit 1; }; \
		mv "$$file.new" "$$file"; echo "$$file"; \
	}; \
	write docs/openapi.json; \
	write postman/tokenbooth.postman_collection.json --postman; \
	write postman/tokenbooth.postman_environment.json --postman-environment

screenshots: ## Draw every page into target/screenshots, and the README's picture anew (apt install chromium-driver)
	cargo test --test api browser::accessibility
	cp target/screenshots/sign-in.png docs/sign-in.png

deb: ## The Debian package, into target/debian (cargo install --locked cargo-deb)
	cargo deb

deny: ## Licences, known vulnerabilities and sources of the dependencies
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; }
	cargo deny check

# ARGS is handed on: `make bench ARGS='--only read --rounds 1'`; `ARGS=--help` lists what there is.
BENCHES := cargo build --release --workspace && target/release/tokenbooth-benches

bench: ## The service under load beside bare actix-web, in 6 minutes (apt install wrk postgresql)
	$(BENCHES) run $(ARGS)

bench-micro: ## Tokens, good ones and hostile ones, without a server
	cargo bench -p tokenbooth-benches --bench micro -- $(ARGS)

bench-scale: ## Reads and exchanges with a thousand, a hundred thousand and a million users, in 6 minutes
	$(BENCHES) scale $(ARGS)

# The driver alone, without the product's binary: what is counted is linked into it.
bench-instructions: ## Instructions per request against benches/instructions.toml (apt install valgrind; ACCEPT=1)
	cargo build --release -p tokenbooth-benches
	target/release/tokenbooth-benches instructions $(if $(ACCEPT),--accept) $(ARGS)
