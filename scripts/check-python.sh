#!/bin/sh
# One clear line where the Python is not one we run on.
python=$1
command -v "$python" >/dev/null 2>&1 || {
  echo "No '$python' found: install Python 3.10 to 3.13, or name one: make PYTHON=python3.12" >&2
  exit 1
}
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' || {
  echo "'$python' is $("$python" --version 2>&1): lake_assets needs Python 3.10 to 3.13. Name one: make PYTHON=python3.12" >&2
  exit 1
}
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
  echo "'$python' cannot make virtual environments: install its venv package, such as: apt-get install python3-venv" >&2
  exit 1
}
