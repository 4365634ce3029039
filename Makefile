# make run     start the console at http://127.0.0.1:8000/ (NMS_PORT)
# make test    install what the tests need and run them all
# make check   lint, format, types, contracts, templates, migrations, make test, 15 s of each fuzzer, a minute of faults, one start
# make deploy-test  the main job behind NGINX, on PostgreSQL and Redis, with two processes of each (in make test too)
# make fuzz    hostile licenses and acknowledgements, FUZZ_SECONDS (300) for each
# make faults  break what is around it: FAULTS="--seed 7 --only kill" for one case again
# make bench   measure against peers and limits
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run test deploy-test check lint fuzz fuzz-short faults faults-short smoke bench assets requirements screenshots clean

PY := .venv/bin/python

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

.venv/bin/python:
	@scripts/venv create

.venv/.runtime: requirements.txt | .venv/bin/python
	@scripts/venv install requirements.txt
	@touch $@

.venv/.dev: requirements-dev.txt | .venv/bin/python
	@scripts/venv install requirements-dev.txt
	@touch $@ .venv/.runtime

SOURCES := $(shell find static frontend templates -type f -not -path 'static/build/*' 2>/dev/null) \
  $(wildcard */templatetags/*.py) package-lock.json

node_modules/.installed: package.json package-lock.json | .venv/bin/python
	@scripts/npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

static/build/.built: node_modules/.installed $(SOURCES)
	@scripts/node frontend/build.mjs
	@touch $@

staticfiles/.collected: static/build/.built .venv/.runtime
	@rm -rf staticfiles
	@$(PY) manage.py collectstatic --no-input -v 0
	@touch $@

assets: static/build/.built ## build the style sheet, icons and fonts

run: .venv/.runtime staticfiles/.collected
	@exec $(PY) manage.py serve

test: .venv/.dev staticfiles/.collected
	@scripts/peers
	@$(PY) scripts/with_servers.py scripts/test

deploy-test: .venv/.dev staticfiles/.collected
	@scripts/peers
	@$(PY) scripts/with_servers.py $(PY) -m pytest -q tests/e2e/test_deployment.py

lint: .venv/.dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy .
	@.venv/bin/lint-imports --no-cache
	@.venv/bin/djlint templates --lint --quiet
	@.venv/bin/deptry .
	@$(PY) manage.py makemigrations --check --dry-run
	@$(PY) manage.py check --fail-level WARNING

check: lint test fuzz-short faults-short smoke

smoke: .venv/.dev staticfiles/.collected
	@$(PY) scripts/smoke.py

FUZZ_SECONDS ?= 300

fuzz: .venv/.dev
	@$(PY) -m fuzz --seconds $(FUZZ_SECONDS)

fuzz-short: .venv/.dev
	@$(PY) -m fuzz --seconds 15

faults: .venv/.dev staticfiles/.collected
	@scripts/peers rabbitmq
	@$(PY) scripts/with_servers.py $(PY) -m faults $(FAULTS)

faults-short: .venv/.dev staticfiles/.collected
	@$(PY) scripts/with_servers.py $(PY) -m faults --short

bench: .venv/.dev staticfiles/.collected
	@$(PY) scripts/with_servers.py $(PY) -m bench

screenshots: .venv/.dev staticfiles/.collected
	@scripts/peers chromium
	@$(PY) scripts/screenshots.py

requirements: | .venv/bin/python
	@scripts/venv compile

clean:
	rm -rf .venv node_modules static/build staticfiles var
