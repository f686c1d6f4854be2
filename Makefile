# The operator's menu. `make` or `make help` shows it.
SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := node_modules/.bin
OCC := node dist/src/cli/main.js
DATA ?= .data
# Extra flags for a role or command: make hub ARGS="--config hub.yaml"
ARGS ?=

# ── installing and building, on demand ────────────────────────────────────────────────────────────────────────────
# Told on standard error: standard output belongs to what is run.
node_modules/.installed: package.json package-lock.json
	@npm ci --ignore-scripts --no-audit --no-fund >&2
	@touch $@

SOURCES := $(shell find src gen test/bench -name '*.ts' 2>/dev/null)
dist/.built: node_modules/.installed tsconfig.json tsconfig.build.json $(SOURCES)
	@echo '$(BIN)/tsc -p tsconfig.build.json' >&2
	@$(BIN)/tsc -p tsconfig.build.json >&2
	@touch $@

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} \
	  /^## / {printf "\n\033[1m%s\033[0m\n", substr($$0, 4)} \
	  /^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Try it

.PHONY: demo
demo: dist/.built ## A whole mesh on this machine, on loopback, telling its story (DEMO_SECONDS=n: unattended)
	@node dist/src/demo/main.js

## Run it (data below DATA=.data, more flags with ARGS="…")

.PHONY: cloud connector hub token status
cloud: dist/.built ## Run a cloud
	@$(OCC) cloud --data $(DATA)/cloud $(ARGS)
connector: dist/.built ## Run a connector (first time: ARGS="--token-file FILE")
	@$(OCC) connector --data $(DATA)/connector $(ARGS)
hub: dist/.built ## Run a hub (first time: ARGS="--token-file FILE")
	@$(OCC) hub --data $(DATA)/hub $(ARGS)
token: dist/.built ## Make an enrolment token: ARGS="--customer NAME --role hub > FILE"
	@$(OCC) tokens create --client $(DATA)/cloud/client.yaml $(ARGS)
status: dist/.built ## Show the whole mesh: customers, connectors, hubs, sensors
	@$(OCC) status --client $(DATA)/cloud/client.yaml $(ARGS)

.PHONY: example
example: dist/.built ## What a service does with the cloud's API (src/examples), with the data of `make cloud`
	@node dist/src/examples/main.js $(DATA)/cloud/client.yaml $(ARGS)

## Build it

.PHONY: build gen docs
build: dist/.built ## Compile to dist/
gen: node_modules/.installed ## Generate gen/ from proto/
	$(BIN)/buf format -w
	rm -rf gen
	$(BIN)/buf generate
	$(BIN)/buf build -o gen/descriptors.binpb --as-file-descriptor-set --exclude-source-info

docs: node_modules/.installed ## Write the API reference, from the comments of proto/, to dist/docs
	@mkdir -p dist/docs
	@$(BIN)/buf build -o dist/docs/contract.binpb --as-file-descriptor-set
	@node --import tsx test/docs/main.ts dist/docs/contract.binpb dist/docs

## Check it

.PHONY: check fix check-format fix-format check-types check-proto fix-proto check-gen fix-gen check-breaking
check: check-format check-types check-proto check-gen check-breaking ## Everything that needs no running
fix: fix-proto fix-gen fix-format ## Mend what can be mended by a tool
check-format: node_modules/.installed ## Format and lint of the sources
	$(BIN)/biome check .
fix-format: node_modules/.installed ## Format, and apply safe fixes
	$(BIN)/biome check --write .
check-types: node_modules/.installed ## Types of sources and tests
	$(BIN)/tsc -p tsconfig.json
check-proto: node_modules/.installed ## Lint and format of the contracts
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
fix-proto: node_modules/.installed ## Format the contracts
	$(BIN)/buf format -w
check-gen: node_modules/.installed ## gen/ is what proto/ generates
	@set -e; fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(BIN)/buf generate -o "$$fresh"; \
	$(BIN)/buf build -o "$$fresh/gen/descriptors.binpb" --as-file-descriptor-set --exclude-source-info; \
	diff -r gen "$$fresh/gen" || { echo "gen/ is not what proto/ generates: run 'make gen'"; exit 1; }
fix-gen: gen ## The same as gen
check-breaking: node_modules/.installed ## The contracts break no client of any release (test/contract/golden/contract)
	@set -e; for released in test/contract/golden/contract/*.binpb; do $(BIN)/buf breaking --against "$$released"; done

## Test it

MOCHA := $(BIN)/mocha
# So many files side by side. MESH_TRIES=n in the environment: see test/mesh/run.sh.
JOBS ?= 2
.PHONY: test test-unit test-contract test-mesh test-interop test-matrix coverage
test: test-unit test-contract test-mesh ## All tests that need nothing but npm
test-unit: node_modules/.installed ## Single parts, virtual time
	$(MOCHA) --parallel --jobs $(JOBS) 'test/unit/**/*.test.ts'
test-contract: node_modules/.installed ## The contracts: wire bytes, access rules, storage suite
	$(MOCHA) --parallel --jobs $(JOBS) 'test/contract/**/*.test.ts'
test-mesh: dist/.built ## Real processes, real TLS, real multicast on loopback
	@ls test/mesh/*.test.ts | xargs -P $(JOBS) -n 1 test/mesh/run.sh
test-interop: dist/.built ## Against other people's programs (Debian's; missing ones are skipped, in CI they fail)
	$(MOCHA) --timeout 120000 'test/interop/**/*.test.ts'
test-matrix: node_modules/.installed ## make test on Node 20, 22 and 24
	@set -e; for version in 20 22 24; do \
	  echo "── Node $$version"; npm exec --yes --package=node@$$version -- bash -c 'node --version && $(MAKE) test'; done
coverage: node_modules/.installed ## Coverage of the unit and contract tests
	$(BIN)/c8 --exclude-after-remap --reporter=text $(MOCHA) 'test/{unit,contract}/**/*.test.ts'

## Measure it

# One part, or several: make bench BENCH="ingest drain". All there are by default.
BENCH ?=
.PHONY: bench bench-smoke
bench: dist/.built ## Measure real processes (BENCH=name: one part): a table, and bench.json
	@node dist/test/bench/main.js $(ARGS) $(BENCH)
bench-smoke: dist/.built ## See that it still measures: everything tiny, within a minute
	@node dist/test/bench/main.js --smoke $(BENCH)

## Judge it

.PHONY: conformance
conformance: dist/.built ## Judge anybody's connector or cloud by the rules of the contract: TARGET=host:port ARGS="--token-file FILE"
	@node dist/src/conformance/main.js $(TARGET) $(ARGS)

## Tidy up

.PHONY: clean
clean: ## Remove what was built (data stays)
	rm -rf dist coverage node_modules/.cache
