# The jobs of this checkout, for people and for .ci/run. `make` lists them.

GO      ?= go
PYTHON  ?= python3
# Flags of the command that a target runs: make demo ARGS=--preset=flickr8k
ARGS    ?=
# The packages that test, race and bench look at.
PKG     ?= ./...
# How long each fuzz target runs.
FUZZTIME ?= 10s
# How often each benchmark runs; benchstat wants 10.
COUNT   ?= 1
# Go's limit of 10 minutes a package is too short for a slow, shared machine.
TIMEOUT ?= 20m

# Run by version rather than as a tool of go.mod: there its requirements would
# be resolved together with Beam's and decide versions that the program links.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Every folder with Go code. A dot alone would let gofmt into .gotch and .venv.
GO_FOLDERS = $(wildcard *.go) $(wildcard pipelines stages transforms model metrics runners)

# What times this project beside its references; one of them needs Java.
BENCH_SCRIPTS = $(filter-out $(if $(shell command -v java),,testdata/metrics_bench.py),$(wildcard testdata/*_bench.py))

# What remakes golden files; *_bench.py time the reference, check_*.py look at what the program wrote, photographs.py
# makes a data set.
GOLDEN_SCRIPTS = $(filter-out testdata/check_%.py testdata/%_bench.py testdata/photographs.py,$(wildcard testdata/*.py))

.DEFAULT_GOAL := help
.PHONY: help setup setup-spice demo test race lint fmt bench golden fuzz parity clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "; print "make TARGET, where TARGET is one of"} \
		/^[a-z-]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# go.work may be absent, or name a .gotch that is not there yet; the set-up
# itself needs neither.
setup: ## find or fetch libtorch and fit gotch to it (once)
	@GOWORK=off $(GO) run ./model/setup

setup-spice: ## the jars of SPICE (once; needs Java and Maven)
	@GOWORK=off $(GO) run ./model/setup -spice

demo: setup ## the main job on the built-in data set: blip-open-out
	$(GO) run ./pipelines/train $(ARGS)

# Packages run side by side, each with libtorch's worker threads, which spin
# while they wait and so take the cores from one another unless told not to.
test: setup ## all tests
	OMP_WAIT_POLICY=$${OMP_WAIT_POLICY:-passive} $(GO) test -timeout $(TIMEOUT) $(ARGS) $(PKG)

race: setup ## all tests but the long ones, under the race detector
	OMP_WAIT_POLICY=$${OMP_WAIT_POLICY:-passive} $(GO) test -race -short -timeout $(TIMEOUT) $(ARGS) $(PKG)

lint: setup ## gofmt, go vet, staticcheck
	@unformatted=$$(gofmt -l $(GO_FOLDERS)) && test -z "$$unformatted" || \
		{ echo "not formatted (make fmt does it):" $$unformatted >&2; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

fmt: ## format all Go code
	gofmt -w $(GO_FOLDERS)

bench: setup $(if $(filter ./...,$(PKG)),.venv/installed) ## benchmarks, and the references beside (PKG=./transforms/imaging COUNT=10: without)
	$(GO) test -run '^$$' -bench . -benchmem -count $(COUNT) -timeout 60m $(ARGS) $(PKG)
	@$(if $(filter ./...,$(PKG)),for script in $(BENCH_SCRIPTS); do \
		echo "$$script" && .venv/bin/python "$$script" || exit 1; \
	done,:)

golden: .venv/installed ## remake the golden files with the reference in Python
	@for script in $(GOLDEN_SCRIPTS); do \
		echo "$$script" && .venv/bin/python "$$script" || exit 1; \
	done

.venv/installed: testdata/requirements.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -r testdata/requirements.txt
	@touch $@

fuzz: setup ## each fuzz target for FUZZTIME (10s)
	@grep -roE '^func Fuzz[A-Za-z0-9_]*' --include='*_test.go' $(GO_FOLDERS) | sort | \
	while IFS=: read -r file func; do \
		echo "$$(dirname "$$file") $${func#func }" && \
		$(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) "./$$(dirname "$$file")" || exit 1; \
	done

parity: setup ## the network against the reference at full size, base and large
	BLIPFLOW_PARITY=1 $(GO) test -count 1 -timeout 60m -v -run Agree ./model/blip

clean: ## remove what setup wrote here; libtorch stays in the user's cache
	rm -rf .gotch .gotch.coming-* .gotch.going-* .bin go.work go.work.sum
