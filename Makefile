# `make` alone lists what there is to make.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

CARGO ?= cargo
# Where `install` puts things; DESTDIR stands in front of it, for packagers.
PREFIX ?= /usr/local
DESTDIR ?=

# Read when it is needed, since most targets do not.
host = $(shell rustc -vV | sed -n 's/^host: //p')
target = $(or $(CARGO_TARGET_DIR),target)
static = $(target)/$(host)/release/sandbox

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Bring a sandbox of a Rails application up, use it, remove it, prove that nothing is left
	@tests/tools/demo

.PHONY: test
test: ## Run all tests; installs what they need and is missing
	@tests/tools/prepare test
	@tests/tools/run-tests

# The kill points that `test` tries are fixed; here it is all of them.
.PHONY: test-faults
test-faults: ## Kill sandbox at each of its requests to Docker and each of its git commands; more than an hour
	@tests/tools/prepare test
	@rm -rf $(target)/tmp/kill-points
	@KILL_POINTS=all tests/tools/run-tests --test docker faults::; code=$$?; cat $(target)/tmp/kill-points/*; exit $$code

.PHONY: check
check: ## All that CI runs: format, lints, tests
	@tests/tools/prepare build
	$(CARGO) fmt --check
	@tests/tools/prepare check
	@tests/tools/run-tests

.PHONY: bench
bench: ## Measure sandbox and `docker compose` side by side
	@tests/tools/prepare bench
	cargo bench --quiet --locked --bench bench

.PHONY: images
images: ## Build the local stand-ins for the postgres and redis images
	@tests/tools/prepare images

.PHONY: release
release: ## Build the static release binary
	RUSTFLAGS='-C target-feature=+crt-static' $(CARGO) build --quiet --locked --release --target $(host)
	@if ldd $(static) 2>/dev/null | grep -q '=>'; then echo "$(static) is not static" >&2; exit 1; fi
	@ls -sh $(static)

# Under sudo there often is no cargo: what `make release` built before is installed then.
.PHONY: install
install: ## Install the release binary, manual pages and completions under PREFIX (/usr/local)
	@if command -v $(CARGO) >/dev/null; then $(MAKE) release; fi
	@tests/tools/install "$$(ls -t $(target)/*/release/sandbox | head -n 1)" "$(DESTDIR)$(PREFIX)"

.PHONY: clean
clean: ## Remove everything that was built here
	$(CARGO) clean
