# dubseedd: what a person types. `make` alone lists it.

PYTHON_VENV := .venv/bin/python
PYTEST_ARGS ?=
SIZE ?= 256MiB
SEED ?=
SECONDS ?= 60
TARGET ?=
SMALL ?= 100000
RUNS ?= 5
ONLY ?=
OUTPUT ?= docs/benchmarks
LABEL ?= DUB-SEED
CALLS ?= 1000000
SUITE ?= bookworm

# Where `make install` puts things; DESTDIR stages them for a package.
DESTDIR ?=
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
# The interpreter of the installed programs; its version has to be the one that the dependencies were built for.
PYTHON ?= $(shell tools/provision python)
# "no" leaves the dependencies to the distribution: PYTHON finds them by itself.
VENDOR ?= yes

bindir = $(PREFIX)/bin
libdir = $(PREFIX)/lib/dubseedd
unitdir = $(PREFIX)/lib/systemd/system
userunitdir = $(PREFIX)/lib/systemd/user
catalogdir = $(PREFIX)/lib/systemd/catalog
tmpfilesdir = $(PREFIX)/lib/tmpfiles.d
rulesdir = $(PREFIX)/lib/udev/rules.d
datadir = $(PREFIX)/share
zshdir = $(datadir)/zsh/site-functions
mandir = $(datadir)/man
dbusdir = $(datadir)/dbus-1
# dbus-daemon looks for policies in /usr and /etc, for everything else in /usr/local as well.
policydir = $(if $(filter /usr,$(PREFIX)),/usr/share,$(SYSCONFDIR))/dbus-1/system.d
# polkit before 124 looks for actions in /usr/share alone.
actiondir = $(if $(filter /usr/local,$(PREFIX)),/usr,$(PREFIX))/share/polkit-1/actions
config = $(SYSCONFDIR)/dubnium/dubseedd.toml

# source:destination of every single file, for install and uninstall alike; the configuration is a case of its own.
FILES = \
  packaging/bin/launcher:$(bindir)/dubseedd \
  packaging/bin/launcher:$(bindir)/dubseedctl \
  packaging/bin/launcher:$(bindir)/dubctl-seed \
  packaging/bin/launcher:$(bindir)/dubseed-notify \
  systemd/dubseedd.service:$(unitdir)/dubseedd.service \
  systemd/dubseedd.tmpfiles.conf:$(tmpfilesdir)/dubseedd.conf \
  udev/80-dubseedd.rules:$(rulesdir)/80-dubseedd.rules \
  packaging/dbus/org.dubnium.Seed1.conf:$(policydir)/org.dubnium.Seed1.conf \
  packaging/dbus/org.dubnium.Seed1.service:$(dbusdir)/system-services/org.dubnium.Seed1.service \
  packaging/polkit/org.dubnium.seed1.policy:$(actiondir)/org.dubnium.seed1.policy \
  dubseedd/bus/org.dubnium.Seed1.xml:$(dbusdir)/interfaces/org.dubnium.Seed1.xml \
  dubseedd/cli/dubseedctl.schema.json:$(datadir)/dubseedd/dubseedctl.schema.json \
  packaging/dbusmock/dubseedd.py:$(datadir)/python-dbusmock/templates/dubseedd.py \
  systemd/dubseedd.catalog:$(catalogdir)/dubseedd.catalog \
  $(foreach page,$(wildcard packaging/man/*.[1-8]),$(page):$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
  packaging/completions/dubseedctl.bash:$(datadir)/bash-completion/completions/dubseedctl \
  packaging/completions/_dubseedctl:$(zshdir)/_dubseedctl \
  packaging/completions/dubseedctl.fish:$(datadir)/fish/vendor_completions.d/dubseedctl.fish \
  systemd/user/dubseed-notify.service:$(userunitdir)/dubseed-notify.service

.PHONY: help provision test-provision vm-provision try test quick lint coverage torture vm vm-test vm-torture fuzz fuzz-bus \
  mutants measure derived picture bench install install-provision uninstall dist wheel deb deb-test rpm clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*  ## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

provision:
	@tools/provision

test-provision:
	@tools/provision exfatprogs:mkfs.exfat xfsprogs:mkfs.xfs btrfs-progs:mkfs.btrfs rsync:rsync strace:strace \
	  python3-dbusmock:python3 dunst:dunst xvfb:Xvfb fonts-dejavu-core:dunst zsh:zsh fish:fish libxml2-utils:xmllint \
	  nix-bin:nix-instantiate

try: provision  ## run the main job here and now [SIZE=4GiB] [SEED=/dev/sdX1, a real stick]
	@$(PYTHON_VENV) -m tools.tryout --size "$(SIZE)" --seed "$(SEED)"

test: test-provision  ## run all tests [PYTEST_ARGS=...]
	@$(PYTHON_VENV) -m pytest $(PYTEST_ARGS)

quick: test-provision  ## run nine of ten tests: those that need no devices [PYTEST_ARGS=tests/core]
	@S1=5000 $(PYTHON_VENV) -m pytest -m "not integration and not vm" $(PYTEST_ARGS)

lint: provision  ## format, style, types, layers
	@.venv/bin/ruff format --check && .venv/bin/ruff check && .venv/bin/mypy && .venv/bin/mypy -p tools && .venv/bin/lint-imports

coverage: test-provision  ## run all tests and show the lines that none of them reaches
	@install -d -m 1777 build/coverage  # some of the programs that tests start run as nobody
	@.venv/bin/coverage run -m pytest $(PYTEST_ARGS) && .venv/bin/coverage combine --quiet && \
	  .venv/bin/coverage report --show-missing --skip-covered

torture: test-provision  ## kill, cut the power, break disks and sticks, for an hour [R1=2000 … R15=100000] [TORTURE_SEED=]
	@$(PYTHON_VENV) -m tests.torture $(PYTEST_ARGS)

vm-provision:
	@tools/provision mmdebstrap:mmdebstrap qemu-system-x86:qemu-system-x86_64 qemu-utils:qemu-img \
	  build-essential:dpkg-buildpackage debhelper:dh dh-python:dh_python3

vm-test: vm-provision  ## boot a machine in QEMU and try everything there that takes USB sticks [PYTEST_ARGS=...]
	@$(PYTHON_VENV) -m pytest -m vm --timeout=400 tests/vm $(PYTEST_ARGS)

vm-torture: vm-provision  ## there: pull sticks, cut the power, kill the neighbours [N=200 pulls] [R5=50 …] [TORTURE_SEED=]
	@$(PYTHON_VENV) -m tests.vm torture $(PYTEST_ARGS)

vm: vm-provision  ## boot the machine for yourself, with a shell and a stick to plug
	@$(PYTHON_VENV) -m tests.vm

fuzz-bus: test-provision  ## let a stranger say all that can be said on the bus [CALLS=1000000] [FUZZ_SEED=1]
	@CALLS="$(CALLS)" $(PYTHON_VENV) -m pytest -s tests/integration/test_hostile_callers.py

fuzz: provision  ## feed the parsers what a fuzzer makes up [SECONDS=3600] [TARGET=manifest]
	@$(PYTHON_VENV) -c 'import atheris' 2>/dev/null || .venv/bin/pip install --quiet atheris 2>/dev/null || true
	@$(PYTHON_VENV) -m tests.fuzz --seconds "$(SECONDS)" --target "$(TARGET)"

mutants: provision  ## change the rules of manifest and plan here and there; list what no test notices
	@$(PYTHON_VENV) -c 'import mutmut' 2>/dev/null || $(PYTHON_VENV) -m pip install --quiet mutmut
	@S1=2000 $(PYTHON_VENV) -m mutmut run && $(PYTHON_VENV) -m mutmut results

derived: provision  ## make anew what follows from the code: manual pages, completions, the options of NixOS
	@for each in manpages completions options; do $(PYTHON_VENV) -m tools.$$each || exit 1; done

picture: test-provision  ## draw docs/watch.svg and docs/notify.png anew, from a real sync
	@tools/provision scrot:scrot
	@$(PYTHON_VENV) -m tools.picture

measure: test-provision  ## what one sync and an idle daemon cost on this machine
	@$(PYTHON_VENV) -m tests.measure

bench: SIZE = 4GiB
bench: test-provision  ## compare with the runbook and the disk [SIZE=1GiB] [SMALL=10000] [RUNS=5] [ONLY=throughput,idle]
	@command -v rclone >/dev/null || apt-get install -qq --no-install-recommends rclone >/dev/null 2>&1 || true
	@$(PYTHON_VENV) -m tools.bench --size "$(SIZE)" --small "$(SMALL)" --runs "$(RUNS)" --only "$(ONLY)" \
	  --output "$(OUTPUT)" --label "$(LABEL)"

install-provision:
	@tools/provision install

# A package's build brings its own PYTHON and dependencies: nothing is downloaded.
install: $(if $(filter yes,$(VENDOR)),install-provision)  ## install on this machine [PREFIX=/usr/local] [DESTDIR=]
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" LIBDIR="$(libdir)" CONFIG="$(config)" PYTHON="$(PYTHON)" \
	  VENDOR="$(VENDOR)" tools/install $(FILES)

uninstall:  ## remove what install put there; models and a changed configuration stay
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" LIBDIR="$(libdir)" CONFIG="$(config)" tools/uninstall $(FILES)

dist:  ## the source as build/dubseedd-VERSION.tar.gz: the same bytes for the same commit
	@tools/dist

wheel: provision  ## build/dist: the wheel and the sdist for pip and pipx
	@tools/wheel

deb: dist  ## the Debian package, in build/deb
	@tools/deb

deb-test: dist  ## build it in a clean chroot, install, upgrade, purge [SUITE=bookworm]
	@SUITE="$(SUITE)" tools/deb-test

rpm: dist  ## the RPM package, in build/rpm
	@tools/rpm

clean:  ## remove the virtual environment and every cache
	rm -rf .venv build mutants *.egg-info .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
