#!/bin/sh
# Runs a Python for 64-bit ARM on a processor that QEMU makes up; QEMU_CPU=cortex-a53 says
# which, and without it, one that can do all that QEMU knows. `install.sh` puts it, under
# the name python3, into the folder that it makes.
set -e
folder=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$folder/packages"
exec "$folder/bin/qemu-aarch64" -L "$folder/system" "$folder/system/usr/bin/python3" "$@"
