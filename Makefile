# `make` lists the targets. Everything is installed into .venv, nothing outside it.
# Needs GNU make and Python 3.10 to 3.13 with its venv module.

PYTHON ?= python3
VENV ?= .venv
# Two processes: much of a test's time is spent on tracing graphs, on one core. Each
# begins with one half of the tests, so that what the tests of a room share is made once.
PYTEST_FLAGS ?= -n 2 --dist worksteal
# What `make test` runs; CI, in one go, heavy ones, too.
TESTS ?= not heavy and not slow
# A process keeps all that XLA has compiled in it: these tests have their own.
COMPILED = tests/tasks/test_xla.py

# The data set that `make demo` draws. configs/pose/synthetic.flags reads it from here.
DEMO_DATA = data/synthetic
DEMO_TRAIN_IMAGES = 2000
DEMO_VAL_IMAGES = 200
DEMO_IMAGE_SIZE = 256

# 3 leaves TensorFlow's Python errors and warnings, and hides those of its C++ side.
export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK = 1

ifneq ($(words $(VENV)),1)
$(error VENV='$(VENV)': name one folder, without blanks in its path)
endif
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
.DELETE_ON_ERROR:
.PHONY: help env env-convert env-beam env-triton env-arm demo demo-segmentation demo-detection tensorboard lint test test-heavy test-slow test-xla test-android test-faults test-all check-release benchmark docs docs-check lock licences audit dist clean clean-demo

help:
	@echo 'make env         install the pinned dependencies and this package in $(VENV)'
	@echo 'make env-convert add PyTorch to $(VENV), to read and test .pth checkpoints'
	@echo 'make env-beam    add Apache Beam, for batch predictions on many machines'
	@echo 'make env-triton  add a Triton server, to try and test docs/triton'
	@echo 'make env-arm     add a Python for ARM and QEMU, to try .tflite files as on a phone'
	@echo 'make demo        train a small HRNet on drawn people; results in runs/synthetic'
	@echo 'make demo-segmentation   the same for the parts of their bodies'
	@echo 'make demo-detection      the same for boxes and masks of people and things'
	@echo 'make tensorboard open TensorBoard on runs/; LOGDIR=runs/mine on one run'
	@echo 'make test        lint, then every test not marked heavy or slow'
	@echo 'make test-heavy  the tests marked heavy, which take seconds of a core each'
	@echo 'make test-slow   the tests marked slow, but for those of XLA'
	@echo 'make test-xla    whole steps of all tasks, compiled with XLA'
	@echo 'make test-android    the Android app: its sources compiled, its numbers compared'
	@echo 'make test-faults the tests of kills, signals, full disks and damaged files'
	@echo 'make test-all    lint, then every test'
	@echo 'make check-release   all that is checked before a release, with a summary'
	@echo 'make lint        ruff check, ruff format --check and mypy'
	@echo 'make benchmark   speed beside peers, about ten minutes; docs/speed.md has more'
	@echo 'make docs        build the pages of docs/ into site/; dead links fail'
	@echo 'make docs-check  run the commands of all pages in a fresh clone; PAGES=... for some'
	@echo 'make lock        compile requirements.lock from setup.cfg, and docs/requirements.txt'
	@echo 'make audit       look for known vulnerabilities of what it names; needs the internet'
	@echo 'make licences    list the licences of what the lock file installs, in docs/licences.md'
	@echo 'make dist        build the wheel and the source archive into dist/'
	@echo 'make clean       remove $(VENV) and caches'
	@echo 'make clean-demo  remove what make demo drew and trained'
	@echo
	@echo 'PYTHON=python3.12       the Python that $(VENV) is made with'
	@echo 'PYTEST_FLAGS="-n 0 -x"  arguments for pytest, in place of "-n 2 --dist worksteal"'

# ---- set-up ----

env: $(STAMP)
	@echo '$(VENV) is ready.'

# The lock file names every package, so --no-deps loses none; with it, an old pip
# does not trip over packages that are asked for with and without extras.
LOCKED = --quiet --require-hashes --no-deps -r
PIP_INSTALL = $(BIN)/python -m pip install $(LOCKED)
# uv takes a fraction of pip's time, but knows none of pip's settings: where pip has an
# index of its own, and where uv fails, pip installs. The settings in pyproject.toml are for
# `make lock`.
UV = $(VENV)/uv.txt
UV_LINES = sed -n '/^uv==/,/[^\\]$$/p' requirements.lock
PIP_HAS_AN_INDEX = $(BIN)/python -m pip config list | grep -q '[.]index-url='

# A half-made .venv, left by an interrupted run, has no working pip: it is made anew.
$(STAMP): requirements.lock setup.cfg pyproject.toml
	@command -v $(PYTHON) > /dev/null || { \
	  echo 'No command "$(PYTHON)": install Python 3.10 to 3.13, or name one' \
	    'with "make PYTHON=/path/to/python3".' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version 2>&1), but TensorFlow 2.20 needs Python" \
	    '3.10 to 3.13: name one with, for example, "make PYTHON=python3.12".' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo '$(PYTHON) has no venv module: install it (on Debian and Ubuntu, the package' \
	    'python3-venv).' >&2; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(UV_LINES) > $(UV)
	{ ! { $(PIP_HAS_AN_INDEX); } && $(PIP_INSTALL) $(UV) && \
	  $(BIN)/uv pip install --no-config --python=$(BIN)/python $(LOCKED) requirements.lock; } || \
	  $(PIP_INSTALL) requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@# uv leaves the compiling of modules to the first import. Where PYTHONDONTWRITEBYTECODE is
	@# set, as in many containers, each process would do it again, for some seven seconds.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c 'import hrnet_tf.tasks.pose'
	@touch $@

# The one package that the lock file leaves out: on Linux pip takes its CUDA build of
# some gigabytes, unless told of another, and only .pth files need it.
TORCH ?= torch==2.13.0

env-convert: $(STAMP)
	$(BIN)/python -m pip install --quiet '$(TORCH)'

# Apache Beam, for batch predictions and converters on many machines.
env-beam: $(STAMP)
	$(BIN)/python -m pip install --quiet 'apache-beam==2.77.*'

# A Triton server, to try and test docs/triton with. Its Python backend needs NumPy 1: an
# environment of its own holds both, and takes all else from $(VENV).
TRITON = $(VENV)/triton
PURELIB = import sysconfig; print(sysconfig.get_path("purelib"))
PYTHON_VERSION = import sys; print("%d.%d" % sys.version_info[:2])

env-triton: $(STAMP)
	$(BIN)/python -m venv $(TRITON)
	$(TRITON)/bin/python -m pip install --quiet --no-deps nvidia-pytriton==0.7.0 numpy==1.26.4
	@$(BIN)/python -c '$(PURELIB)' > "$$($(TRITON)/bin/python -c '$(PURELIB)')/tensorflow.pth"
	@# The backend looks for the stub, of this Python's version, beside itself.
	@version=$$($(TRITON)/bin/python -c '$(PYTHON_VERSION)') && \
	  cd "$$($(TRITON)/bin/python -c '$(PURELIB)')/pytriton/tritonserver" && \
	  cp "python_backend_stubs/$$version/triton_python_backend_stub" backends/python/ && \
	  chmod +x bin/tritonserver backends/python/triton_python_backend_stub
	@cp docs/tritonserver.sh $(TRITON)/bin/tritonserver
	@chmod +x $(TRITON)/bin/tritonserver
	@echo 'The server is $(TRITON)/bin/tritonserver.'

# A Python for ARM with LiteRT, to run .tflite files as phones do; docs/android says how.
ARM = $(VENV)/arm

env-arm: $(ARM)/bin/python3
	@echo 'The Python is $(ARM)/bin/python3.'

$(ARM)/bin/python3: requirements.lock $(wildcard docs/arm/*.sh) | $(STAMP)
	sh docs/arm/install.sh $(ARM) $(BIN)/python

# ---- demo ----

# Whatever ended a training, records that were damaged or removed are made anew.
CONVERT_AGAIN = { rm -f $(DEMO_DATA)/$(1)/.train $(DEMO_DATA)/$(1)/.val; exit 1; }

demo: $(DEMO_DATA)/tfrecords/.train $(DEMO_DATA)/tfrecords/.val
	$(BIN)/python -m hrnet_tf.train --flagfile=configs/pose/synthetic.flags || $(call CONVERT_AGAIN,tfrecords)

# The folder appears when everything in it is written, so any file of it stands for all.
DEMO_DRAWN = $(DEMO_DATA)/annotations/person_keypoints_val.json
$(DEMO_DRAWN): | $(STAMP)
	$(BIN)/python -m hrnet_tf.data.synthetic --output_dir=$(DEMO_DATA) \
	  --num_train=$(DEMO_TRAIN_IMAGES) --num_val=$(DEMO_VAL_IMAGES) \
	  --image_size=$(DEMO_IMAGE_SIZE)

$(DEMO_DATA)/tfrecords/.%: $(DEMO_DRAWN)
	$(BIN)/python -m hrnet_tf.data.coco_pose --overwrite \
	  --image_dir=$(DEMO_DATA)/images/$* \
	  --annotations=$(DEMO_DATA)/annotations/person_keypoints_$*.json \
	  --output_prefix=$(DEMO_DATA)/tfrecords/$*
	@touch $@

demo-segmentation: $(DEMO_DATA)/segmentation/.train $(DEMO_DATA)/segmentation/.val
	$(BIN)/python -m hrnet_tf.train --flagfile=configs/segmentation/synthetic.flags || $(call CONVERT_AGAIN,segmentation)

$(DEMO_DATA)/segmentation/.%: $(DEMO_DRAWN)
	$(BIN)/python -m hrnet_tf.data.segmentation_folder --overwrite \
	  --image_dir=$(DEMO_DATA)/images/$* --label_dir=$(DEMO_DATA)/parts/$* \
	  --label_set=synthetic_parts --output_prefix=$(DEMO_DATA)/segmentation/$*
	@touch $@

demo-detection: $(DEMO_DATA)/detection/.train $(DEMO_DATA)/detection/.val
	$(BIN)/python -m hrnet_tf.train --flagfile=configs/detection/synthetic.flags || $(call CONVERT_AGAIN,detection)

$(DEMO_DATA)/detection/.%: $(DEMO_DRAWN)
	$(BIN)/python -m hrnet_tf.data.coco_instances --overwrite \
	  --image_dir=$(DEMO_DATA)/images/$* \
	  --annotations=$(DEMO_DATA)/annotations/instances_$*.json \
	  --output_prefix=$(DEMO_DATA)/detection/$*
	@touch $@

# Runs of all folders below it are shown, one beside the other.
LOGDIR ?= runs

tensorboard: $(STAMP)
	$(BIN)/tensorboard --logdir=$(LOGDIR)

# ---- checks ----

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -m '$(TESTS)' $(PYTEST_FLAGS)

test-heavy: $(STAMP)
	$(BIN)/python -m pytest -m 'heavy and not slow' $(PYTEST_FLAGS)

test-slow: $(STAMP)
	$(BIN)/python -m pytest -m slow --ignore=$(COMPILED) $(PYTEST_FLAGS)

test-xla: $(STAMP)
	$(BIN)/python -m pytest -m slow $(COMPILED) $(PYTEST_FLAGS)

# Debian's kotlin and libandroid-json-java, 90 MB with what they need, are for this alone.
test-android: $(STAMP)
	@command -v kotlinc > /dev/null || { echo 'No Kotlin: as root, "apt-get install' \
	  '--no-install-recommends kotlin libandroid-json-java default-jre-headless".' >&2; exit 1; }
	$(BIN)/python -m pytest -n 0 tests/examples/test_android.py

test-faults: $(STAMP)
	$(BIN)/python -m pytest -m faults $(PYTEST_FLAGS)

# One after the other, whatever became of those before: with all in one run, a process has grown to 15 GB.
test-all: $(STAMP)
	@failed=0; \
	$(MAKE) --no-print-directory test TESTS='not slow' || failed=1; \
	$(MAKE) --no-print-directory test-slow || failed=1; \
	$(MAKE) --no-print-directory test-xla || failed=1; \
	exit $$failed

# Steps go on after one that failed.
check-release:
	PYTEST_FLAGS='$(PYTEST_FLAGS)' $(PYTHON) tests/support/release_check.py

# ---- speed ----

# Peers that are not installed are left out: PyTorch comes with `make env-convert`,
# OpenVINO, ONNX Runtime and ncnn with the extra `benchmark`.
BENCHMARK_JSON ?= runs/benchmark.json

benchmark: $(STAMP)
	@mkdir -p $(dir $(BENCHMARK_JSON))
	$(BIN)/python benchmarks/short_forms.py --json=$(BENCHMARK_JSON) $(BENCHMARK_FLAGS)

# ---- documents ----

# An environment of its own: what builds the pages is neither needed nor disturbed by
# what is in $(VENV), and reads the package's source without importing it. With --quiet,
# --strict would see no warning.
DOCS_STAMP = $(VENV)-docs/.installed
export NO_MKDOCS_2_WARNING = 1

docs: $(DOCS_STAMP)
	$(VENV)-docs/bin/mkdocs build --strict
	@echo 'Open site/index.html, or serve the pages with $(VENV)-docs/bin/mkdocs serve.'

$(DOCS_STAMP): docs/requirements.txt
	$(PYTHON) -m venv --clear $(VENV)-docs
	$(VENV)-docs/bin/python -m pip install --quiet --require-hashes --no-deps -r docs/requirements.txt
	@touch $@

# A clone of the last commit, with an environment of its own. With PAGES, one that is there
# is brought to that commit and used again; what its pages made before stays.
DOCS_CLONE = .docs-check
PAGES ?=

docs-check:
	@git diff --quiet HEAD || echo 'What is not committed is not checked.' >&2
	@test -n '$(PAGES)' -a -d $(DOCS_CLONE) || { \
	  rm -rf $(DOCS_CLONE) && git clone --quiet . $(DOCS_CLONE); }
	@git -C $(DOCS_CLONE) fetch --quiet origin HEAD
	@git -C $(DOCS_CLONE) reset --quiet --hard FETCH_HEAD
	@cd $(DOCS_CLONE) && $(PYTHON) tests/support/docs_check.py $(PAGES)

# ---- upkeep ----

# Keeps the versions already locked where setup.cfg still allows them;
# `make lock LOCK_FLAGS=--upgrade` takes the newest. `fewest` gives every Python the
# same versions, so that what is tested on one is what runs on the others.
LOCK_FLAGS ?=
UV_COMPILE = $(VENV)-lock/bin/uv pip compile --quiet --universal --python-version 3.10 \
  --fork-strategy fewest --generate-hashes --no-strip-extras $(LOCK_FLAGS) \
  --custom-compile-command 'make lock'

lock:
	$(PYTHON) -m venv $(VENV)-lock
	$(UV_LINES) > $(VENV)-lock/uv.txt
	$(VENV)-lock/bin/python -m pip install $(LOCKED) $(VENV)-lock/uv.txt
	$(UV_COMPILE) --extra dev --extra demo --output-file requirements.lock setup.cfg
	$(UV_COMPILE) --output-file docs/requirements.txt docs/requirements.in

# After `make lock` and `make env`.
licences: $(STAMP)
	$(BIN)/python tests/support/licences.py

# What this Python and system would install, and the advisories of PyPI or, with
# AUDIT_FLAGS='-s osv', of OSV.
AUDIT_FLAGS ?=
audit:
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install --quiet pip-audit==2.10.1
	$(VENV)-audit/bin/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict $(AUDIT_FLAGS)

dist:
	$(PYTHON) -m venv $(VENV)-dist
	$(VENV)-dist/bin/python -m pip install --quiet build==1.3.0
	rm -rf dist
	$(VENV)-dist/bin/python -m build

clean:
	rm -rf $(VENV) $(VENV)-lock $(VENV)-audit $(VENV)-docs $(VENV)-dist .docs-check site build dist hrnet_tf.egg-info .pytest_cache .ruff_cache .mypy_cache
	find hrnet_tf tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2> /dev/null || true

clean-demo:
	rm -rf $(DEMO_DATA) runs/synthetic runs/synthetic_segmentation runs/synthetic_detection
