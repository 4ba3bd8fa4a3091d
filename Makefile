# Each command does its own set-up: git, make, gcc and Python 3.11 or newer are enough to start with.
#
#   make demo         the whole job on servers of its own: load, change, load again, verify (TARGET=duckdb: into a DuckDB file)
#   make test         every test, ending in one line of figures
#   make build        the extension into python/rowferry, rowferry into .venv
#   make check-c      all C under gcc and clang without a warning, tests with sanitizers too
#   make native-test  the C units: plain, sanitized, threaded, short of memory, under valgrind; fuzz targets in short
#   make fuzz         each fuzz target for ten minutes (FUZZ_SECONDS=…)
#   make soak         the full product of the conformance suite, the other Airflows, then random faults, for an hour (SOAK_SECONDS=…)
#   make bench        speed and memory beside the limits of the hardware and the server
#   make fresh        demo and test inside a new Debian, as root and as an ordinary user
#   make clean        removes what was built; .venv stays
#
# PYTHON=… chooses the interpreter .venv is made from.

.DEFAULT_GOAL := help
.PHONY: help demo test build check-c native-test fuzz soak bench fresh clean compiled
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python -E
JOBS := $(shell nproc)

help:
	@sed -n 's/^#   //p' Makefile

demo: build
	@$(PY) -m rowferry.demo $(if $(TARGET),--target '$(TARGET)')

test:
	@.ci/bootstrap test
	@.ci/build
	@$(PY) .ci/test.py

build:
	@.ci/bootstrap demo
	@.ci/build

soak:
	@.ci/bootstrap test
	@.ci/build
	@$(PY) tests/faults/soak.py

bench:
	@.ci/bootstrap bench
	@.ci/build
	@$(PY) tests/bench

fresh:
	@.ci/fresh

# Two makes side by side compile one after the other.
check-c:
	@.ci/bootstrap test
	@flock .ci/.lock $(MAKE) -j$(JOBS) compiled

native-test: check-c
	@$(PY) .ci/test.py --native-only

fuzz: check-c
	@$(PY) tests/fuzz

clean:
	rm -rf build dist *.egg-info python/*.egg-info python/rowferry/_native*.so .venv/.rowferry-build
	find native python airflow_plugins tests -name __pycache__ -prune -exec rm -rf {} +

# ---- compiling the C, each way ----

SOURCES := $(sort $(wildcard native/core/*.c native/drivers/*.c))
MODULE := $(sort $(wildcard native/python/*.c))
UNITS := $(sort $(wildcard tests/native/test_*.c))
TORTURE := tests/native/torture.c
HELPERS := $(filter-out $(UNITS) $(TORTURE),$(sort $(wildcard tests/native/*.c)))
TARGETS := $(sort $(wildcard tests/fuzz/fuzz_*.c))
RACES := $(sort $(wildcard tests/threads/*.c))
OTHERS := $(filter-out tests/native/% $(TARGETS) $(RACES),$(sort $(wildcard tests/*/*.c)))

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
system = $(patsubst -I%,-isystem %,$(shell $(1)))
LIBRARY_FLAGS = $(call system,pkg-config --cflags libpq libcjson libzstd odbc cmocka)
PYTHON_FLAGS = $(call system,$(PY) -c 'import sysconfig; print("-I" + sysconfig.get_path("include"))')
# As in setup.py.
DEFINES := -D_DEFAULT_SOURCE=1 -DPy_LIMITED_API=0x030A0000 -DRF_VERSION='"0"'
C_FLAGS = -std=c11 -g -pthread -fvisibility=hidden $(WARNINGS) $(DEFINES) -Inative -Itests/native $(LIBRARY_FLAGS) -MMD -MP

gcc := gcc -O2
clang := clang -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
sanitized := gcc -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
threads := gcc -O1 -fPIC -fno-omit-frame-pointer -fsanitize=thread

objects = $(patsubst %.c,build/$(1)/%.o,$(2))
programs = $(patsubst %.c,build/$(1)/%,$(2))
LIBRARIES = $(shell pkg-config --libs libpq libcjson libzstd cmocka) -ldl -lm

compiled: $(foreach name,gcc clang,$(call objects,$(name),$(SOURCES) $(MODULE) $(HELPERS) $(UNITS) $(TARGETS) $(RACES) $(OTHERS))) \
          $(foreach name,gcc sanitized threads torture,$(call programs,$(name),$(UNITS))) $(call programs,clang,$(TARGETS)) $(call programs,threads,$(RACES)) build/threads/_native.abi3.so

define variant
build/$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D); echo "  $(1)  $$<"
	@$$($(1)) $$(C_FLAGS) $$(if $$(findstring native/python/,$$<),$$(PYTHON_FLAGS)) -c $$< -o $$@

# An archive, so that a test may bring its own form of a function.
build/$(1)/native.a: $(call objects,$(1),$(SOURCES))
	@rm -f $$@; ar rcs $$@ $$^

build/$(1)/tests/native/test_%: build/$(1)/tests/native/test_%.o $(call objects,$(1),$(HELPERS)) build/$(1)/native.a
	@$$($(1)) -pthread $$^ -o $$@ $$(LIBRARIES)
endef
$(foreach name,gcc clang sanitized threads,$(eval $(call variant,$(name))))

# The sanitized core, with an allocator of the tests in place of the library's; see $(TORTURE).
SCARCE := malloc calloc realloc aligned_alloc strdup strndup
build/torture/native.a: build/sanitized/native.a
	@mkdir -p $(@D); objcopy $(foreach name,$(SCARCE),--redefine-sym $(name)=scarce_$(name)) $< $@

build/torture/tests/native/test_%: build/sanitized/tests/native/test_%.o $(call objects,sanitized,$(HELPERS) $(TORTURE)) build/torture/native.a
	@mkdir -p $(@D)
	@$(sanitized) -pthread $^ -o $@ $(foreach name,_cmocka_run_group_tests rf_fail rf_no_memory free,-Wl,--wrap=$(name)) $(LIBRARIES)

# For a Python that has the sanitizer's library loaded before anything else.
build/threads/_native.abi3.so: $(call objects,threads,$(MODULE)) build/threads/native.a
	@$(threads) -shared -pthread $^ -o $@ $(LIBRARIES)

build/threads/tests/threads/%: build/threads/tests/threads/%.o build/threads/native.a
	@$(threads) -pthread $^ -o $@ $(LIBRARIES)

build/clang/tests/fuzz/fuzz_%: build/clang/tests/fuzz/fuzz_%.o $(call objects,clang,$(HELPERS)) build/clang/native.a
	@$(subst fuzzer-no-link,fuzzer,$(clang)) -pthread $^ -o $@ $(LIBRARIES)

.SECONDARY:
-include $(wildcard build/*/native/*/*.d build/*/tests/*/*.d)
