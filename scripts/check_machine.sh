#!/bin/sh
# check_machine.sh python PYTHON: succeeds where that Python runs and is of a supported version; says nothing.
# check_machine.sh all PYTHON: says in one sentence what is missing on this machine, and how to install it.
set -u

what=$1
python=${2:-}

supported() { "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

if [ "$what" = python ]; then
    supported
    exit
fi

if ! supported; then
    found=$("${python:-python3}" --version 2>/dev/null || echo none)
    echo "clip-spark needs Python 3.11, 3.12 or 3.13 (found: $found); install one, for example: apt-get install python3.11 python3.11-venv" >&2
    exit 2
fi

java=${JAVA_HOME:+$JAVA_HOME/bin/}java
major=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
if [ -z "$major" ] || [ "$major" -lt 17 ]; then
    echo "clip-spark needs Java 17 or 21 (found: ${major:-none}); install one, for example: apt-get install openjdk-17-jre-headless" >&2
    exit 2
fi
