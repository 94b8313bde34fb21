# personad: set up, run, test, install. `make` alone lists the targets.

VENV    ?= .venv
PYTHON  ?=
DESTDIR ?=
PREFIX  ?= /opt/personad

# `make lock` uses exactly this version of uv, in its own environment.
UV_VERSION := 0.13.9
UV_VENV    := .venv-lock

UNITS    := $(DESTDIR)/usr/local/lib/systemd/system
SYSUSERS := $(DESTDIR)/usr/local/lib/sysusers.d
TMPFILES := $(DESTDIR)/usr/local/lib/tmpfiles.d
CONFIG   := $(DESTDIR)/etc/personad
COMMAND  := $(DESTDIR)/usr/local/bin/personad

SOURCES  := pyproject.toml README.md LICENSE daemon worker proto
BIN      := $(VENV)/bin
RUNTIME  := $(VENV)/.runtime-installed
TESTING  := $(VENV)/.tests-installed

# Tests mostly wait for processes, clocks and sockets, so more of them run at once than there are cores.
JOBS ?= 6

# Invented inputs for each property of a parser.
EXAMPLES ?= 2000
SEED     ?=

# Container images often set this. Then every process of a test run would compile all tests again.
unexport PYTHONDONTWRITEBYTECODE

# An environment with a Python other than the requested one is made again.
ifneq ($(PYTHON),)
RELEASE := -c 'import sys; print(sys.version_info[:2])' 2>/dev/null
ifneq ($(shell "$(PYTHON)" $(RELEASE)),$(shell "$(BIN)/python" $(RELEASE)))
.PHONY: $(RUNTIME)
endif
endif

.ONESHELL:
SHELL       := /bin/sh
.SHELLFLAGS := -euc
.DELETE_ON_ERROR:
.PHONY: help setup run test fuzz coverage lint types bench changelog lock install uninstall clean

# Every file's hash is checked, only the lock's dependencies are installed, and nothing is compiled.
# The only source package is pure Python: see install_runtime.
PIP_LOCKED := -m pip install --quiet --disable-pip-version-check --no-input --require-hashes --no-deps --only-binary :all:
# The project itself is built with the lock's setuptools, without an index.
PIP_SELF   := -m pip install --quiet --disable-pip-version-check --no-input --no-index --no-deps --no-build-isolation

# Sets python to $(PYTHON), or to the first Python 3.11 or newer among $(1) and those on PATH, and version to its 3.x.
define find_python
python="$(PYTHON)"
for candidate in $(1) python3 python3.13 python3.12 python3.11; do
    [ -z "$$python" ] || break
    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python="$$candidate"; fi
done
if [ -z "$$python" ]; then
    echo "personad needs Python 3.11 or newer and found none: install it, or name one with 'make PYTHON=/path/to/python3'." >&2
    exit 1
fi
if ! "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "$$python is not Python 3.11 or newer: name another with 'make PYTHON=/path/to/python3'." >&2
    exit 1
fi
version=$$("$$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endef

# Makes the virtual environment $(1) with the Python that find_python found, or keeps one with the same version. It never
# empties any other folder.
define make_venv
if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$$python cannot make virtual environments: install them first, on Debian with 'apt install python$$version-venv'." >&2
    exit 1
fi
if [ -n "$$(ls -A "$(1)" 2>/dev/null)" ] && [ ! -e "$(1)/pyvenv.cfg" ]; then
    echo "$(1) is a folder with other content: choose another." >&2
    exit 1
fi
if [ "$$("$(1)/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" != "$$version" ]; then
    echo "Making $(1) with Python $$version"
    "$$python" -m venv --clear "$(1)"
fi
endef

# Installs requirements.lock into the virtual environment $(1). The last nextcord for Python 3.11 is published only as
# source. It is built with the lock's setuptools, which must be installed first. Newer versions are wheels.
define install_runtime
sourced=
if [ "$$version" = 3.11 ]; then
    sourced="--no-binary nextcord --no-build-isolation"
    awk '/^[^ #]/ { wanted = /^setuptools==/ } wanted' requirements.lock | "$(1)/bin/python" $(PIP_LOCKED) -r /dev/stdin
fi
"$(1)/bin/python" $(PIP_LOCKED) $$sourced -r requirements.lock
endef

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

setup: $(RUNTIME) ## make .venv (VENV=...) and install personad into it from the lock
	@echo "personad is set up in $(VENV)."

$(RUNTIME): requirements.lock pyproject.toml
	@$(call find_python)
	$(call make_venv,$(VENV))
	echo "Installing personad"
	$(call install_runtime,$(VENV))
	"$(BIN)/python" $(PIP_SELF) --config-settings editable_mode=compat --editable .
	touch $@

$(TESTING): $(RUNTIME) tests/requirements.lock
	@echo "Installing the test tools"
	"$(BIN)/python" $(PIP_LOCKED) -r tests/requirements.lock
	touch $@

run: $(RUNTIME) ## run the daemon here, with a first persona named Adam
	@exec "$(BIN)/personad" serve --create-first Adam

test: $(TESTING) ## run the tests (ARGS="-k word" selects some)
	@"$(BIN)/python" -m pytest -n $(JOBS) $(ARGS)

# Random examples, so the seed is printed: SEED=... runs the same ones again, EXAMPLES=... more or fewer of them.
fuzz: $(TESTING) ## throw invented input at every parser (EXAMPLES=2000, SEED=n)
	@seed="$(SEED)"
	[ -n "$$seed" ] || seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
	echo "The same run again: make fuzz SEED=$$seed EXAMPLES=$(EXAMPLES)"
	PERSONAD_FUZZ_EXAMPLES="$(EXAMPLES)" "$(BIN)/python" -m pytest -n $(JOBS) --override-ini timeout=3600 \
	    --hypothesis-seed="$$seed" $(ARGS) tests/fuzz

# Without tests that measure speed or memory themselves, and without random kills, which lose most of the data. Measuring
# makes the tests slower, hence the longer timeouts.
coverage: $(TESTING) ## run the tests and print which lines they and their processes did not run
	@rm -f .coverage .coverage.*
	PYTHONPATH="$(CURDIR)/tests/measuring" PERSONAD_TEST_PATIENCE=3 "$(BIN)/python" -m pytest -n $(JOBS) \
	    --override-ini timeout=720 -m "not frugal and not chaos" $(ARGS)
	"$(BIN)/coverage" combine --quiet
	"$(BIN)/coverage" report

lint: $(TESTING) ## check style and format
	@"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

types: $(TESTING) ## check types
	@"$(BIN)/mypy"

bench: $(TESTING) ## run the benchmarks and print the table
	@"$(BIN)/python" -m tests.bench

changelog: $(TESTING) ## move etc/changes into CHANGELOG.md (VERSION=x)
	@if [ -z "$(VERSION)" ]; then echo "Name the version: make changelog VERSION=0.2.0" >&2; exit 1; fi
	"$(BIN)/towncrier" build --yes --version "$(VERSION)"

lock: ## resolve both locks again (UPGRADE=1 takes the newest versions)
	@$(call find_python)
	$(call make_venv,$(UV_VENV))
	"$(UV_VENV)/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
	export UV_CUSTOM_COMPILE_COMMAND="make lock"
	compile="$(UV_VENV)/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-emit-find-links $(if $(UPGRADE),--upgrade)"
	$$compile pyproject.toml --group build --output-file requirements.lock
	$$compile --group test --constraint requirements.lock --output-file tests/requirements.lock
	if grep -nE '^ *--(index-url|extra-index-url|find-links)|file:|https?://' requirements.lock tests/requirements.lock; then
	    echo "A lock names a download location: it must hold only names, versions and hashes." >&2
	    exit 1
	fi

install: ## install as a systemd service, as root (DESTDIR=... only places the files)
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" != 0 ]; then echo "make install needs root: sudo make install" >&2; exit 1; fi
	umask 022
	$(call find_python,/usr/bin/python3)
	home=$$("$$python" -c 'import sys; print(sys.base_prefix)')
	case "$(DESTDIR)$$home" in
	    /root/*|/home/*)
	        echo "The service cannot see the Python in $$home: use the system's, with 'make install PYTHON=/usr/bin/python3'." >&2
	        exit 1 ;;
	esac
	$(call make_venv,$(DESTDIR)$(PREFIX))
	echo "Installing personad into $(DESTDIR)$(PREFIX)"
	$(call install_runtime,$(DESTDIR)$(PREFIX))
	# Build from a copy, so that root leaves nothing in the checkout and no earlier build is included.
	copy=$$(mktemp -d)
	trap 'rm -rf "$$copy"' EXIT
	cp -R $(SOURCES) "$$copy"
	"$$python" -B -m daemon.settings.version > "$$copy/daemon/settings/commit.txt"
	"$(DESTDIR)$(PREFIX)/bin/python" $(PIP_SELF) --force-reinstall "$$copy"
	# Scripts contain the path of their interpreter, which must be the final one, without DESTDIR.
	if [ -n "$(DESTDIR)" ]; then grep -lIrF "$(DESTDIR)$(PREFIX)" "$(DESTDIR)$(PREFIX)/bin" | xargs -r sed -i "s|$(DESTDIR)$(PREFIX)|$(PREFIX)|g"; fi
	install -d "$(UNITS)" "$(SYSUSERS)" "$(TMPFILES)" "$(CONFIG)" "$(dir $(COMMAND))"
	sed "s|/opt/personad|$(PREFIX)|g" systemd/personad.service > "$(UNITS)/personad.service"
	install -m 644 systemd/personad.socket "$(UNITS)/"
	install -m 644 systemd/sysusers.d/personad.conf "$(SYSUSERS)/"
	install -m 644 systemd/tmpfiles.d/personad.conf "$(TMPFILES)/"
	chmod 644 "$(UNITS)/personad.service"
	# systemd knows growing pauses between restarts since 254; an older one would warn at every reload.
	systemd_version=$$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
	if [ "$${systemd_version:-0}" -ge 254 ]; then
	    install -D -m 644 -t "$(UNITS)/personad.service.d" systemd/personad.service.d/restart-steps.conf
	fi
	if [ ! -e "$(CONFIG)/personad.toml" ]; then install -m 644 etc/personad.toml "$(CONFIG)/"; fi
	ln -sfn "$(PREFIX)/bin/personad" "$(COMMAND)"
	if [ -n "$(DESTDIR)" ]; then exit 0; fi
	systemd-sysusers "$(SYSUSERS)/personad.conf"
	systemd-tmpfiles --create "$(TMPFILES)/personad.conf"
	systemctl daemon-reload
	systemctl enable personad.service
	systemctl restart personad.service
	echo "personad is running. Try: personad create Adam, personad chat Adam, journalctl -u personad -f"

uninstall: ## remove the service, as root; keeps state and settings
	@if [ -z "$(DESTDIR)" ]; then
	    if [ "$$(id -u)" != 0 ]; then echo "make uninstall needs root: sudo make uninstall" >&2; exit 1; fi
	    systemctl disable --now personad.socket personad.service || echo "The units were not running."
	fi
	rm -f "$(UNITS)/personad.service" "$(UNITS)/personad.service.d/restart-steps.conf" "$(UNITS)/personad.socket"
	rm -f "$(SYSUSERS)/personad.conf" "$(TMPFILES)/personad.conf" "$(COMMAND)"
	if [ -e "$(DESTDIR)$(PREFIX)/pyvenv.cfg" ]; then rm -rf "$(DESTDIR)$(PREFIX)"; fi
	if [ -z "$(DESTDIR)" ]; then systemctl daemon-reload; fi
	echo "Removed. The personas' data in /var/lib/personad, the settings in /etc/personad and the user personad are kept."

clean: ## remove what setup, tests and builds created in this folder
	@for venv in "$(VENV)" "$(UV_VENV)"; do
	    if [ -e "$$venv/pyvenv.cfg" ]; then rm -rf "$$venv"; fi
	done
	rm -rf build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
	find daemon worker proto tests -name __pycache__ -type d -prune -exec rm -rf {} +
