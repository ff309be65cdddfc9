# schedule-service. `make help` lists the targets. Builds go to build/<profile>/; profiles: release, asan, tsan.

PROFILE ?= release
BUILD   := build/$(PROFILE)
CC      ?= cc
PYTHON  ?= /usr/bin/python3
SHELL   := /bin/bash
MAKEFLAGS += --no-builtin-rules
export PYTHONDONTWRITEBYTECODE := 1

# Where setup.sh puts Swagger UI; nowhere while there is no Python to say it.
VIEWER ?= $(shell [ ! -x $(PYTHON) ] || $(PYTHON) deploy/local/servers.py viewer)
VIEWER := $(VIEWER)

PACKAGES := rdkafka libevent libevent_openssl libevent_pthreads libprotobuf-c libpq jansson libssl libcrypto libcurl zlib
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wvla -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
            -Wformat=2 -Wundef -Werror
HARDENING := -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
LDHARDENING := -pie -Wl,-z,relro,-z,now,-z,noexecstack
VERSION := $(shell cat VERSION 2>/dev/null)
REVISION := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

CFLAGS_release := -O2 -D_FORTIFY_SOURCE=2 -DNDEBUG
CFLAGS_asan    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DFAILPOINTS
CFLAGS_tsan    := -O1 -fno-omit-frame-pointer -fsanitize=thread -DFAILPOINTS

CPPFLAGS += -D_GNU_SOURCE -Iservice -I$(BUILD)/gen $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
CFLAGS   += -std=c17 -g $(WARNINGS) $(HARDENING) $(CFLAGS_$(PROFILE))
LDFLAGS  += $(LDHARDENING) $(CFLAGS_$(PROFILE))
LDLIBS   += $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lpthread

PROTOS  := $(sort $(wildcard proto/schedules/v1/*.proto))
GEN_C   := $(PROTOS:proto/%.proto=$(BUILD)/gen/%.pb-c.c) $(BUILD)/gen/google/protobuf/timestamp.pb-c.c
GEN_O   := $(GEN_C:.c=.o)
SOURCES := $(sort $(shell find service -name '*.c'))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
# core/ and codec/ need no socket, clock or file: one library, which unit tests and fuzzers link alone.
PURE_O  := $(filter $(BUILD)/service/core/% $(BUILD)/service/codec/%,$(OBJECTS))
REST_O  := $(filter-out $(PURE_O) $(BUILD)/service/app/main.o,$(OBJECTS)) $(BUILD)/gen/schema.o
BINARY  := $(BUILD)/schedule-service
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
COMPONENT := $(patsubst tests/component/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/component/test_*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
REPLAY  := $(FUZZERS:%=$(BUILD)/tests/%)
# What decodes outside bytes: no more than a fuzzer can call without a server.
FUZZED  := $(wildcard service/core/*.c service/codec/*.c) $(addprefix service/,app/config.c app/config_value.c app/kafka_fixed.c driver/log.c \
           relay/pgoutput.c relay/wal_record.c api/http_address.c api/http_coding.c api/http_header.c api/http_hours_query.c api/http_path.c \
           api/http_people_query.c api/http_query.c api/http_webhook_input.c webhook/address_rule.c webhook/webhook_secret.c \
           webhook/webhook_signature.c)
TOOLS   := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c))

# gcc 12's thread sanitizer does not know the C11 threads that librdkafka uses: these stand in for them.
ifeq ($(PROFILE),tsan)
LDFLAGS += -rdynamic
$(BINARY) $(UNIT) $(COMPONENT) $(REPLAY) $(TOOLS): $(BUILD)/tests/support/tsan_threads.o
endif

.PHONY: help
help: ## print every target
	@grep -hE '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F':.*## ' '{printf "  %-15s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## install what is missing to build and run it (Debian packages, Kafka); does nothing when all is there
	@deploy/local/setup.sh

.PHONY: build
build: $(BINARY) $(TOOLS) ## build the service (PROFILE=release|asan|tsan)

# ---- generated code: protobuf-c, with text as bytes, so that a NUL inside a string cannot cut it (same bytes on the wire)
PROTO_INCLUDES := $(firstword $(wildcard /usr/include /usr/local/include))

$(BUILD)/gen/.stamp: $(PROTOS)
	@rm -rf $(BUILD)/proto && mkdir -p $(BUILD)/gen $(BUILD)/proto/schedules/v1
	@for file in $(PROTOS); do sed -E 's/^( *)(repeated )?string /\1\2bytes /' $$file > $(BUILD)/$$file; done
	protoc -I $(BUILD)/proto -I $(PROTO_INCLUDES) --c_out=$(BUILD)/gen $(PROTOS:%=$(BUILD)/%) \
	    $(PROTO_INCLUDES)/google/protobuf/timestamp.proto
	@touch $@

$(GEN_C): $(BUILD)/gen/.stamp
$(GEN_O): %.o: %.c
	$(CC) $(CPPFLAGS) $(filter-out $(WARNINGS),$(CFLAGS)) -c -o $@ $<

# The schema's files become texts in the binary (app/schema.h).
SCHEMA    := $(sort $(wildcard migrations/*.sql))
FUNCTIONS := $(sort $(wildcard migrations/functions/*.sql))
FUNCTIONS_SHA256 = $(firstword $(shell cat $(FUNCTIONS) | sha256sum))
AS_TEXT := sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/'
$(BUILD)/gen/schema.c: $(SCHEMA) $(FUNCTIONS) $(wildcard migrations/functions/* migrations/former/*) Makefile
	@mkdir -p $(@D)
	@{ echo '#include "app/schema.h"'; echo 'const struct migration migrations[] = {'; \
	   for file in $(SCHEMA); do name=$$(basename $$file .sql); \
	       version=$$((10#$${name%%_*})); echo "    {$$version, \"$$name\","; $(AS_TEXT) $$file; echo '    },'; \
	   done; echo '    {0, "", ""}};'; echo "const int64_t schema_version = $$version;"; \
	   echo 'const char schema_functions[] ='; cat $(FUNCTIONS) | $(AS_TEXT); echo ';'; \
	   echo 'const char schema_functions_checksum[] = "$(FUNCTIONS_SHA256)";'; \
	   echo 'const char *const schema_functions_former[] = {'; \
	   sed -e '/$(FUNCTIONS_SHA256)/,$$d' -e 's/.*/    "&",/' migrations/functions/history; echo '    NULL};'; \
	   echo 'const char schema_upgrade[] ='; $(AS_TEXT) migrations/former/upgrade.sql; echo ';'; \
	   echo 'const struct former_migration former_migrations[] = {'; \
	   sed -E 's/^([0-9]+) (.*)$$/    {\1, "\2"},/' migrations/former/checksums; echo '    {0, NULL}};'; } > $@

$(BUILD)/gen/schema.o: $(BUILD)/gen/schema.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/pure.a: $(PURE_O) $(GEN_O)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c $(BUILD)/gen/.stamp
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# The pages of /docs. An empty file stands for one of Swagger UI's that could not be fetched.
VIEWER_GZ := $(addprefix $(BUILD)/gen/viewer/,swagger-ui-bundle.js.gz swagger-ui.css.gz LICENSE.gz)
$(VIEWER_GZ): $(BUILD)/gen/viewer/%.gz: $(wildcard $(VIEWER)/*)
	@mkdir -p $(@D)
	@if [ -f '$(VIEWER)/$*' ]; then gzip -9n < '$(VIEWER)/$*' > $@; else : > $@; fi

$(BUILD)/service/api/http_docs.o: CFLAGS += -Wa,-Idocs,-I$(BUILD)/gen/viewer
$(BUILD)/service/api/http_docs.o: docs/openapi.json $(wildcard docs/page/*) $(VIEWER_GZ)

$(BUILD)/service/app/version.o: CPPFLAGS += -DBUILD_VERSION='"$(VERSION)"' -DBUILD_REVISION='"$(REVISION)"'

$(BINARY): $(BUILD)/service/app/main.o $(REST_O) $(BUILD)/pure.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(UNIT): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(REST_O) $(BUILD)/pure.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(COMPONENT): $(BUILD)/tests/%: $(BUILD)/tests/component/%.o $(REST_O) $(BUILD)/pure.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

# Where each allocation of the service's own code is made to fail.
FAIL_MALLOC := $(addprefix $(BUILD)/tests/,test_allocation test_writer_allocation test_kafka_consumer)
$(FAIL_MALLOC): LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
$(FAIL_MALLOC): $(BUILD)/tests/support/failing_malloc.o
$(BUILD)/tests/unit/%.o $(BUILD)/tests/component/%.o: CPPFLAGS += -Itests/support

# The fuzzers' corpora, run again as plain tests.
$(BUILD)/tests/fuzz/%.o: CPPFLAGS += -Itests/fuzz
$(REPLAY): $(BUILD)/tests/%: $(BUILD)/tests/fuzz/%.o $(BUILD)/tests/fuzz/replay.o \
    $(filter-out $(PURE_O),$(FUZZED:%.c=$(BUILD)/%.o)) $(BUILD)/pure.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# What the tools share.
BENCH_O := $(addprefix $(BUILD)/tests/support/,sample.o sample_row.o latencies.o kafka_client.o zone_file.o) $(BUILD)/service/driver/pg_array.o
$(BUILD)/tests/tools/%.o $(BENCH_O): CPPFLAGS += -Itests/support
$(TOOLS): $(BUILD)/tests/%: $(BUILD)/tests/tools/%.o $(BENCH_O) $(BUILD)/pure.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: test-binaries
test-binaries: build $(UNIT) $(REPLAY) $(COMPONENT)

# ---- run ------------------------------------------------------------------------------------------------------------

STACK := $(PYTHON) deploy/local/stack.py
BEGAN := $(shell date +%s)

.PHONY: run demo up down service
run: setup service ## install, build, start PostgreSQL and Kafka, serve, show a command becoming a row and an event; Ctrl-C ends it
	@$(STACK) run

demo: setup service ## the same without staying: exits 0 when the example went through HTTP and Kafka
	@$(STACK) demo --began $(BEGAN)

up: setup service ## start PostgreSQL, Kafka and the service in the background; writes .run/env
	@$(STACK) up

# By a second make, which sees what setup has installed.
service: setup
	@[ -e $(BINARY) ] || echo "Building the service (20 s of CPU)" >&2
	@$(MAKE) -s -j"$$(nproc)" $(BINARY) $(BUILD)/tests/mock_broker

down: ## stop what `make up` started
	@$(STACK) down

# ---- test -----------------------------------------------------------------------------------------------------------

VENV_PYTHON = $(shell $(PYTHON) deploy/local/servers.py python)

.PHONY: test test-unit test-component test-tsan test-e2e test-fault fault fault-proof fuzz
test: ## all tests, against real PostgreSQL and Kafka, with sanitizers
	@deploy/local/setup.sh test
	@$(MAKE) -s -j2 build
	@$(MAKE) -s -j2 PROFILE=asan test-binaries
	@$(MAKE) -s PROFILE=asan test-unit test-component test-fault test-e2e

# As Debian 13's compiler does by itself.
test-unit: export ASAN_OPTIONS ?= detect_stack_use_after_return=1
test-unit: build $(UNIT) $(REPLAY) ## the pure parts, and the fuzzers' corpora
	@for test in $(UNIT); do $$test || exit 1; done
	@for fuzzer in $(FUZZERS); do $(BUILD)/tests/$$fuzzer tests/fuzz/corpus/$${fuzzer#fuzz_} || exit 1; done

test-component: test-binaries ## one adapter at a time against the real thing
	@$(PYTHON) tests/component/run.py $(BUILD)/tests

test-tsan: ## the component tests under the thread sanitizer
	@deploy/local/setup.sh harness
	@$(MAKE) -s -j2 PROFILE=tsan test-binaries
	@TSAN_OPTIONS=suppressions=$(CURDIR)/tests/support/tsan.supp $(MAKE) -s PROFILE=tsan test-component

test-e2e: build ## the whole service from outside, with kill tests
	@SERVICE_BINARY=$(CURDIR)/$(BINARY) $(VENV_PYTHON) -m pytest -q -p no:cacheprovider --basetemp=$(BUILD)/pytest -W ignore::DeprecationWarning tests/e2e

test-fault: build ## a short selection of the fault rig's cases
	@SERVICE_BINARY=$(CURDIR)/$(BINARY) $(VENV_PYTHON) tests/fault/fault.py --short

.PHONY: postgres-17
postgres-17: ## what depends on PostgreSQL's version, on Debian 13 with PostgreSQL 17, in a chroot that it makes; FILES="roles" picks
	@tests/postgres-17.sh $(FILES)

FUZZ_SECONDS ?= 120

fuzz: ## libFuzzer on every decoder of outside bytes, FUZZ_SECONDS each
	@deploy/local/setup.sh fuzz
	@$(MAKE) -s $(BUILD)/gen/.stamp
	@mkdir -p build/fuzz
	@for fuzzer in $(FUZZERS); do mkdir -p build/fuzz/found_$$fuzzer && echo "== $$fuzzer" && \
	    clang -D_GNU_SOURCE -Iservice -I$(BUILD)/gen -Itests/fuzz -std=c17 -g -O1 -fno-omit-frame-pointer \
	        -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o build/fuzz/$$fuzzer tests/fuzz/$$fuzzer.c \
	        $(FUZZED) $(GEN_C) $$(pkg-config --cflags --libs libpq) -lprotobuf-c -ljansson -lcrypto -levent -lz && \
	    build/fuzz/$$fuzzer -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -rss_limit_mb=1024 -print_final_stats=1 \
	        -artifact_prefix=build/fuzz/$$fuzzer- build/fuzz/found_$$fuzzer tests/fuzz/corpus/$${fuzzer#fuzz_} || exit 1; done

.PHONY: proof-hours
proof-hours: ## hours against the reading of clocks, for every zone and change of clocks; then without one rule after the other
	@deploy/local/setup.sh hours
	@$(MAKE) -s -j2 build
	@$(PYTHON) tests/hours/mutants.py
	@go build -o $(BUILD)/tests/clocks tests/hours/clocks.go
	@$(PYTHON) tests/hours/prove.py --service $(BUILD)/tests/hours --clocks $(BUILD)/tests/clocks $(PROOF_ARGS)

CLOCK := build/release/tests/fault/clock.so
$(CLOCK): tests/fault/clock.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c17 -O2 $(WARNINGS) -fPIC -shared -o $@ $<

fault: ## every fault of docs/faults.md, and after each the audit; FAULT_ARGS="--list" shows them
	@deploy/local/setup.sh fault
	@$(MAKE) -s -j2 build $(CLOCK) build/release/tests/load
	@$(MAKE) -s -j2 PROFILE=asan build
	@$(VENV_PYTHON) tests/fault/fault.py $(FAULT_ARGS)

fault-proof: ## leaves out one mechanism after the other, and the rig has to notice each
	@deploy/local/setup.sh fault
	@$(MAKE) -s -j2 build
	@$(VENV_PYTHON) tests/fault/proof.py $(FAULT_ARGS)

SOAK_MINUTES ?= 20

.PHONY: soak
soak: ## 70 % of what the machine takes for SOAK_MINUTES: memory and descriptors stay flat; writes build/soak/soak.png
	@deploy/local/setup.sh soak
	@$(MAKE) -s -j2 build
	@$(VENV_PYTHON) tests/fault/soak.py --minutes $(SOAK_MINUTES)

.PHONY: bench
bench: ## throughput, latency and cost beside what each neighbour does alone; BENCH_ARGS="--help" shows the choices
	@deploy/local/setup.sh bench
	@$(MAKE) -s -j2 build
	@$(PYTHON) tests/bench/bench.py $(BENCH_ARGS)

BENCH_RECORD := docs/benchmarks

.PHONY: bench-record
bench-record: ## keeps the figures of the last run, and a picture of them, beside the page on benchmarks
	cp build/bench/results.json $(BENCH_RECORD).json
	@$(PYTHON) tests/bench/picture.py $(BENCH_RECORD).json $(BENCH_RECORD).png

# ---- packages -------------------------------------------------------------------------------------------------------

.PHONY: deb deb-test image charts
build/schedule-service.1: $(BINARY) deploy/man.py
	$(PYTHON) deploy/man.py $(BINARY) > $@

DEB_TREE := build/deb/schedule-service-$(VERSION)

# On a copy, as Debian's tools write beside the sources, and with the compiler and flags that they choose.
deb: ## the Debian package, in build/deb, without anything that lintian finds
	@deploy/local/setup.sh deb
	@rm -rf build/deb && mkdir -p $(DEB_TREE)
	@git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C $(DEB_TREE)
	@cd $(DEB_TREE) && env -u CC -u CFLAGS -u MAKEFLAGS -u MAKELEVEL DEB_BUILD_OPTIONS="parallel=$$(nproc)" REVISION=$(REVISION) \
	    VIEWER="$$($(PYTHON) deploy/local/servers.py viewer)" dpkg-buildpackage -b -us -uc
	@# The project has no mail address.
	lintian --no-cfg --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog $$([ "$$(id -u)" -ne 0 ] || echo --allow-root) build/deb/*.changes

deb-test: ## installs, upgrades and removes what `make deb` built, in a chroot that it makes, and runs its unit's command there
	@tests/deb.sh build/deb/schedule-service_$(VERSION)_*.deb

image: ## the image, with what it is of as labels
	docker build -f deploy/Dockerfile --build-arg REVISION=$(REVISION) $(IMAGE_ARGS) -t schedule-service .

charts: ## checks deploy/helm, and writes deploy/kubernetes from it; builds Helm; needs Go 1.21 and npm
	@tests/charts.sh

.PHONY: interop
interop: setup ## generated clients, consumers of examples/ and the like, against `make up`; INTEROP="ogen hey-api" picks
	@$(MAKE) -s build
	@$(STACK) up
	@status=0; $(PYTHON) tests/interop/run.py $(INTEROP) || status=$$?; $(STACK) down; exit $$status

# ---- lint -----------------------------------------------------------------------------------------------------------

C_FILES = $(shell find service tests -name '*.[ch]')

# Spectral, Redocly and buf.
LINT_NODE := build/lint/node_modules/.bin
build/lint/.stamp: tests/lint/package.json
	@mkdir -p $(@D) && cp $< $(@D)/ && npm install --prefix $(@D) --silent --no-audit --no-fund --no-package-lock && touch $@

# The messages as buf sees them, without comments.
MESSAGES := $(LINT_NODE)/buf build proto --exclude-source-info -o -\#format=json | $(PYTHON) -m json.tool --indent 1

.PHONY: lint format proto-lock functions-lock openapi-30
lint: ## format, clang-tidy, layers, documents, messages, alerts, the image's sources, shell and Python
	@deploy/local/setup.sh lint
	@$(MAKE) -s build compile_commands.json
	clang-format --dry-run -Werror $(C_FILES)
	$(PYTHON) tests/lint/check_includes.py
	$(PYTHON) tests/lint/check_names.py
	$(PYTHON) tests/lint/check_documents.py $(BINARY)
	@$(MAKE) -s build/lint/.stamp
	$(LINT_NODE)/buf lint proto
	$(LINT_NODE)/buf breaking proto --against proto/v1.lock.json
	@$(MESSAGES) | cmp -s - proto/v1.lock.json || { echo "messages are new: run \`make proto-lock\` to record them"; exit 1; }
	$(LINT_NODE)/spectral lint --quiet --fail-severity=hint --ruleset tests/lint/spectral.yaml docs/openapi.json docs/openapi-3.0.json docs/asyncapi.json
	$(LINT_NODE)/redocly lint --format=summary --config tests/lint/redocly.yaml docs/openapi.json docs/openapi-3.0.json
	$(VENV_PYTHON) tests/lint/openapi_30.py
	$(PYTHON) tests/lint/check_functions.py
	$(PYTHON) tests/fault/proof.py --check
	$(PYTHON) tests/lint/check_packages.py
	$(PYTHON) tests/lint/check_image.py
	$(PYTHON) tests/lint/check_alerts.py $$($(PYTHON) deploy/local/servers.py promtool)
	$(VENV_PYTHON) tests/lint/check_interfaces.py $$($(PYTHON) deploy/local/servers.py asyncapi)
	shellcheck $$(git ls-files '*.sh') .ci/run
	$(PYTHON) -m compileall -q $$(git ls-files '*.py') -f >/dev/null
	@printf '%s\n' $(SOURCES) | xargs -P2 -n6 clang-tidy --quiet -p . 2>/dev/null

format: ## format the C files
	clang-format -i $(C_FILES)

proto-lock: ## record the messages after a field was added
	@$(MAKE) -s build/lint/.stamp
	@[ ! -f proto/v1.lock.json ] || $(LINT_NODE)/buf breaking proto --against proto/v1.lock.json
	@$(MESSAGES) > build/lint/messages.json && mv build/lint/messages.json proto/v1.lock.json

openapi-30: ## write docs/openapi-3.0.json after docs/openapi.json has changed
	@$(VENV_PYTHON) tests/lint/openapi_30.py --write

functions-lock: ## record the functions of the database after their text has changed
	$(PYTHON) tests/lint/check_functions.py --write

compile_commands.json: $(SOURCES) Makefile
	@{ echo '['; separator=' '; for file in $(SOURCES); do \
	    printf '%s{"directory":"%s","file":"%s","command":"cc %s -c %s"}\n' "$$separator" '$(CURDIR)' $$file \
	        '$(filter-out -DNDEBUG,$(CPPFLAGS) $(CFLAGS)) -DBUILD_VERSION=__FILE__ -DBUILD_REVISION=__FILE__' $$file; separator=','; done; echo ']'; } > $@

.PHONY: clean
clean: ## remove what was built (not the cache of Kafka)
	rm -rf build compile_commands.json

-include $(OBJECTS:.o=.d) $(wildcard $(BUILD)/tests/*/*.d)
