#!/usr/bin/env bash
# Runs every check and suite; installs the Debian packages that the suites need and says which.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(crun runc libseccomp-dev docker-registry skopeo nftables iproute2 strace busybox-static gcc-aarch64-linux-gnu libc6-dev-arm64-cross e2fsprogs
  qemu-system-x86 qemu-system-arm xz-utils apparmor debootstrap erofs-utils attr zstd openssl curl docker-compose podman buildah wine wine64 python3 python3-docker zsh fish)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing Debian packages for the tests: ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

npm run --silent check
results=$(mktemp)
trap 'rm -f "$results"' EXIT
status=0
npx vitest run --config test/vitest.config.ts --reporter=default --reporter=json --outputFile.json="$results" "$@" || status=$?
node scripts/summary.mjs "$results" "$status"
