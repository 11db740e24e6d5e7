#!/bin/sh
# Makes a Python for 64-bit ARM, with LiteRT and NumPy, and QEMU, which runs it on x86-64.
# `make env-arm` calls it:
#
#     install.sh FOLDER PYTHON
#
# FOLDER/bin/python3 is the new Python. PYTHON is one with pip; it loads LiteRT and NumPy
# of requirements.lock. What else is needed comes from Debian 13, unpacked by apt and dpkg
# but not installed: nothing outside FOLDER is changed, and anybody may do it.
set -eu
folder=$1
python=$2
here=$(cd "$(dirname "$0")" && pwd)
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
key=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
  echo "$0: $*" >&2
  exit 1
}

# The folder is emptied first, and removed if something fails.
if [ -n "$(ls -A "$folder" 2> /dev/null)" ] && [ ! -d "$folder/apt" ] &&
  [ ! -x "$folder/bin/qemu-aarch64" ]; then
  fail "$folder holds something else: name another folder."
fi
[ "$(uname -sm)" = 'Linux x86_64' ] || fail 'only Linux on x86-64 needs QEMU for this.'
for program in apt-get dpkg-deb; do
  command -v "$program" > /dev/null ||
    fail "there is no $program; this works on Debian and its relatives."
done
[ -e "$key" ] || fail "$key is missing: install debian-archive-keyring."

# A half-made folder would pass for a whole one.
trap 'rm -rf "$folder"' EXIT
rm -rf "$folder"
mkdir -p "$folder/bin" "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial"
folder=$(cd "$folder" && pwd)
apt=$folder/apt
touch "$apt/status"
echo "deb [signed-by=$key] $mirror trixie main" > "$apt/sources.list"

# apt-get that knows of nothing installed, so that it names all that a package needs.
get() {
  architecture=$1
  shift
  apt-get -qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
    -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 \
    -o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State="$apt" -o Dir::State::Lists="$apt/lists" \
    -o Dir::State::status="$apt/status" -o Dir::Cache="$apt/cache" "$@"
}

get arm64 update
get arm64 install --yes --download-only --no-install-recommends \
  python3-minimal libpython3-stdlib libstdc++6
for package in "$apt"/cache/archives/*.deb; do
  dpkg-deb --extract "$package" "$folder/system"
done
# Debian's base system has these two; no package that is unpacked here does.
ln -s usr/lib "$folder/system/lib"
ln -s usr/bin "$folder/system/bin"

get amd64 update
(cd "$apt" && get amd64 download qemu-user)
dpkg-deb --fsys-tarfile "$apt"/qemu-user_*.deb |
  tar --extract --directory="$folder/bin" --strip-components=3 ./usr/bin/qemu-aarch64

cp "$here/python3.sh" "$folder/bin/python3"
chmod +x "$folder/bin/python3"
version=$("$folder/bin/python3" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
awk '/^[a-z]/ { wanted = /^(ai-edge-litert|numpy)==/ } wanted' \
  "$here/../../requirements.lock" > "$apt/requirements.txt"
"$python" -m pip install --quiet --no-compile --no-deps --require-hashes \
  --only-binary=:all: --platform=manylinux_2_27_aarch64 \
  --platform=manylinux2014_aarch64 --python-version="$version" \
  --target="$folder/packages" --requirement="$apt/requirements.txt"
# Shows that all is there, and leaves compiled modules: QEMU takes seconds to make them.
env -u PYTHONDONTWRITEBYTECODE "$folder/bin/python3" -c 'import ai_edge_litert.interpreter'
rm -rf "$apt"
trap - EXIT
