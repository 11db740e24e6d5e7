#!/bin/sh
# Runs the Triton server of NVIDIA's PyTriton; `make env-triton` puts it, under the name
# tritonserver, among the programs of an environment that has the wheel.
set -e
here=$(cd "$(dirname "$0")" && pwd)
packages=$("$here/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# The backend takes the packages of the first Python of the path.
export PATH="$here:$PATH"
export LD_LIBRARY_PATH="$packages/nvidia_pytriton.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
server=$packages/pytriton/tritonserver
exec "$server/bin/tritonserver" --backend-directory="$server/backends" "$@"
