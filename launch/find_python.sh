#!/bin/sh
# Prints the newest Python of 3.13, 3.12 and 3.11 that is here and can make a virtual environment.
# It looks on the PATH and where pyenv, uv, Homebrew and python.org keep theirs. T2T_PYTHON overrides the search.
if [ -n "$T2T_PYTHON" ]; then
  echo "$T2T_PYTHON"
  exit 0
fi
usable() { # a Python of that very version, with all that `python -m venv` needs
  "$1" -c "import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" >/dev/null 2>&1
}
for version in 3.13 3.12 3.11; do
  for python in "python$version" python3 python \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/$version*/bin/python \
    "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-$version*/bin/python3 \
    /opt/homebrew/bin/python$version /usr/local/bin/python$version \
    /Library/Frameworks/Python.framework/Versions/$version/bin/python3; do
    if usable "$python" "$version"; then
      command -v "$python"
      exit 0
    fi
  done
done
echo "t2t needs Python 3.11, 3.12 or 3.13 with the venv module, and found none." >&2
echo "Install one (Debian and Ubuntu: apt install python3 python3-venv), or name one: make T2T_PYTHON=/path/to/python" >&2
exit 1
