# `make repro` and `make test` need nothing but Python 3.11 or later: they build .venv first. `source .venv/bin/activate` then gives you `dvc`.
PYTHON ?= python3
export PATH := $(CURDIR)/.venv/bin:$(PATH)
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup repro test check plots docs notebook lock peers clean
help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## the environment in .venv, and the page that shows plots without a network

$(READY): requirements.lock
	$(PYTHON) -m venv .venv
	python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	python src/run.py plots_page
	touch $(READY)

repro: setup  ## run what changed, then print a summary; PROFILE=tiny, paper or prior takes the settings of profiles/
	$(if $(PROFILE),dvc exp run $(shell cat profiles/$(PROFILE)) dvc.yaml,dvc repro)
	@python src/run.py summary

test: setup  ## all tests, two files at a time
	python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

check: setup  ## format, lint, types
	ruff format --check . && ruff check . && mypy

plots: setup  ## the templates of the figures in .dvc/plots, from the code in plots/
	PYTHONPATH=src python -m plots

docs: setup  ## the generated pages in docs/, and the site in site/
	PYTHONPATH=src python -m docs.generate
	NO_MKDOCS_2_WARNING=1 mkdocs build --quiet

notebook: setup  ## run notebooks/walkthrough.ipynb and store its outputs
	python -m notebooks

lock:  ## requirements.lock from pyproject.toml, with what its packages pull in
	rm -rf .lock && $(PYTHON) -m venv .lock
	.lock/bin/python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print('\n'.join(sum(p['optional-dependencies'].values(), [])))" > .lock/direct.txt
	.lock/bin/pip install --quiet --disable-pip-version-check -r .lock/direct.txt
	.lock/bin/pip freeze | sed -E '/^nvidia-ml-py/b; /^(nvidia|cuda|triton)/d; s/^torch==([0-9.]+).*/torch==\1/' > requirements.lock
	rm -rf .lock

peers:  ## in .peers: the public attacks that benchmarks/attack_quality.py and attack_speed.py compare with
	$(PYTHON) -m venv .peers
	.peers/bin/pip install --quiet --disable-pip-version-check -r requirements.lock
	.peers/bin/pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/peers.txt

clean:  ## everything but the data
	rm -rf .venv .lock .peers dvc_plots site
