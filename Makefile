.DEFAULT_GOAL := help
.PHONY: help demo test lint openapi deny

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Try the service with a mock Google and GitHub: no account, no network, no settings
	cargo run -- demo

test: ## All tests, on SQLite and PostgreSQL
	TOKENBOOTH_REQUIRE_POSTGRES=1 cargo test

lint: ## Formatting, clippy, documentation and layout, each without a warning
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items
	.ci/check-layout

# By way of a second file: a failed build must not leave an empty document behind.
openapi: ## Write docs/openapi.json anew
	@mkdir -p docs
	cargo run -- openapi > docs/openapi.json.new || { rm -f docs/openapi.json.new; exit 1; }
	mv docs/openapi.json.new docs/openapi.json

deny: ## Licences, known vulnerabilities and sources of the dependencies
	@cargo deny --version >/dev/null 2>&1 || { echo "cargo-deny is missing: cargo install --locked cargo-deny"; exit 1; }
	cargo deny check
