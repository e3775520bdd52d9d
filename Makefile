# make run     build, and serve on 127.0.0.1:7400 with data in ./data
# make test    build with optimisation, and run every test
# make build   build the program: .build/release/larder
# make bench-engine   measure beside Valkey, Redis, memcached and nginx, and write docs/benchmarks.md and the README's table; some
#              28 minutes. ARGUMENTS="--only get,set" measures some and writes nothing
# make bench-eviction   compare misses with those of libCacheSim, which comes from PyPI; some 15 minutes
# make bench-micro    table, slab, wheel, eviction, log, codecs, listing and loopback by themselves
# make compatibility  run the tests of client libraries that others wrote; they come from PyPI; some 10 minutes
# make figures        run the suites of reliability, and write what they counted into docs/reliability.md; some 5 minutes
# make torture        the same with more of everything, in hours; see scripts/figures
#
# Needs Swift 6.3 and make. What else is missing on Debian or Ubuntu is installed by `make setup`, which the others call.

SWIFT ?= swift
RELEASE := -c release
# Tests run the optimised code: a million keys take minutes without.
TESTING := $(RELEASE) -Xswiftc -enable-testing --scratch-path .build-test

.PHONY: run build test compatibility figures torture bench-engine bench-eviction bench-micro setup clean

run: build
	exec .build/release/larder serve $(ARGUMENTS)

build: setup
	$(SWIFT) build $(RELEASE) --product larder

# A crash is told in few lines: registers and images say nothing to whoever reads a log.
test: export SWIFT_BACKTRACE = enable=yes,color=no,registers=none,images=none,threads=crashed
test:
	@./scripts/setup tests
	$(SWIFT) test $(TESTING) --disable-xctest $(if $(FILTER),--filter $(FILTER))

compatibility: build
	./scripts/compatibility pymemcache
	./scripts/compatibility redis-py

figures:
	./scripts/figures every-run

torture:
	./scripts/figures torture

# The servers run on processor 0, the load on processor 1.
bench-engine: build
	@./scripts/setup bench
	$(SWIFT) build $(RELEASE) --product floor
	$(SWIFT) build $(RELEASE) --product side-by-side
	$(SWIFT) build $(RELEASE) --product cache-ratio
	taskset -c 1 .build/release/side-by-side .build/release/larder --report docs/benchmarks.md --readme README.md $(ARGUMENTS)

bench-eviction:
	@./scripts/setup tests
	$(SWIFT) build $(RELEASE) --product cache-ratio
	./scripts/compare-eviction $(ARGUMENTS)

# The parts by themselves; no server.
bench-micro: build
	$(SWIFT) build $(RELEASE) --product micro
	taskset -c 1 .build/release/micro $(ARGUMENTS)

setup:
	@./scripts/setup

clean:
	rm -rf .build .build-test
