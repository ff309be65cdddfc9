# schedule-service. `make help` lists the targets. Builds go to build/<profile>/; profiles: release, asan, tsan.

PROFILE ?= release
BUILD   := build/$(PROFILE)
CC      ?= cc
PYTHON  ?= /usr/bin/python3
SHELL   := /bin/bash
MAKEFLAGS += --no-builtin-rules
export PYTHONDONTWRITEBYTECODE := 1

PACKAGES := rdkafka libevent libevent_pthreads libprotobuf-c libpq jansson libcrypto
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
SOURCES := $(sort $(wildcard service/*/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/%.o)
# core/ and codec/ need no socket, clock or file: one library, which unit tests and fuzzers link alone.
PURE_O  := $(filter $(BUILD)/service/core/% $(BUILD)/service/codec/%,$(OBJECTS))
REST_O  := $(filter-out $(PURE_O) $(BUILD)/service/app/main.o,$(OBJECTS)) $(BUILD)/gen/migrations.o
BINARY  := $(BUILD)/schedule-service
UNIT    := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/test_*.c)))
COMPONENT := $(patsubst tests/component/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/component/test_*.c)))

.PHONY: help
help: ## print every target
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## install what is missing (Debian packages, Kafka); does nothing when all is there
	@deploy/local/setup.sh

.PHONY: build
build: $(BINARY) $(BUILD)/tests/mock_broker ## build the service (PROFILE=release|asan|tsan)

# ---- generated code: protobuf-c, with text as bytes, so that a NUL inside a string cannot cut it (same bytes on the wire)
PROTO_INCLUDES := $(firstword $(wildcard /usr/include /usr/local/include))

$(BUILD)/gen/.stamp: $(PROTOS)
	@rm -rf $(BUILD)/proto && mkdir -p $(BUILD)/gen $(BUILD)/proto/schedules/v1
	@for file in $(PROTOS); do sed -E 's/^( *)(repeated )?string /\1\2bytes /' $$file > $(BUILD)/$$file; done
	protoc-c -I $(BUILD)/proto -I $(PROTO_INCLUDES) --c_out=$(BUILD)/gen $(PROTOS:%=$(BUILD)/%) \
	    $(PROTO_INCLUDES)/google/protobuf/timestamp.proto
	@touch $@

$(GEN_C): $(BUILD)/gen/.stamp
$(GEN_O): %.o: %.c
	$(CC) $(CPPFLAGS) $(filter-out $(WARNINGS),$(CFLAGS)) -c -o $@ $<

# The migrations become texts in the binary.
MIGRATIONS := $(sort $(wildcard migrations/*.sql))
$(BUILD)/gen/migrations.c: $(MIGRATIONS) Makefile
	@mkdir -p $(@D)
	@{ echo '#include "app/migrate.h"'; echo 'const struct migration migrations[] = {'; \
	   for file in $(MIGRATIONS); do name=$$(basename $$file .sql); \
	       echo "    {$$((10#$${name%%_*})), \"$$name\","; sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/' $$file; echo '    },'; \
	   done; echo '    {0, "", ""}};'; } > $@

$(BUILD)/gen/migrations.o: $(BUILD)/gen/migrations.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/pure.a: $(PURE_O) $(GEN_O)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c $(BUILD)/gen/.stamp
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/service/app/version.o: CPPFLAGS += -DVERSION='"$(VERSION)"' -DREVISION='"$(REVISION)"'

$(BINARY): $(BUILD)/service/app/main.o $(REST_O) $(BUILD)/pure.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(UNIT): $(BUILD)/tests/%: $(BUILD)/tests/unit/%.o $(REST_O) $(BUILD)/pure.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(COMPONENT): $(BUILD)/tests/%: $(BUILD)/tests/component/%.o $(REST_O) $(BUILD)/pure.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

$(BUILD)/tests/mock_broker: $(BUILD)/tests/tools/mock_broker.o
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: test-binaries
test-binaries: build $(UNIT) $(COMPONENT)

-include $(OBJECTS:.o=.d) $(wildcard $(BUILD)/tests/*/*.d)
