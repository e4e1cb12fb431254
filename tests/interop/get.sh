#!/usr/bin/env bash
# Gets a verifier that others wrote: `get.sh tlogcheck` or `get.sh sigstore`. See `make interop`.
#
# What is missing is installed from Debian where that is possible (as root, with apt-get). Otherwise
# this says what is missing and succeeds: the tests of that verifier skip, and fail only under CI.
set -euo pipefail
cd "$(dirname "$0")/../.."

debian() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
	local apt="apt-get -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300"
	export DEBIAN_FRONTEND=noninteractive
	$apt update && $apt install --no-install-recommends "$@" >/dev/null || true
}

case $1 in
tlogcheck)
	# Debian's Go packages lie in a GOPATH of their own; no module is ever downloaded.
	export GOPATH=/usr/share/gocode GO111MODULE=off GOCACHE=$PWD/.tools/interop/cache CGO_ENABLED=0
	there() { command -v go >/dev/null && [ -d $GOPATH/src/golang.org/x/mod/sumdb/tlog ]; }
	there || debian golang-go golang-golang-x-mod-dev
	if there; then
		go build -o .tools/interop/tlogcheck ./tests/interop/tlogcheck
	else
		echo "no tlogcheck: it needs Debian's golang-go and golang-golang-x-mod-dev" >&2
	fi
	;;
sigstore)
	command -v npm >/dev/null || debian nodejs npm
	if ! (cd tests/interop/sigstore && npm ci --silent --ignore-scripts --no-audit --no-fund); then
		echo "no sigstore: it needs Node.js with npm, and its registry once" >&2
	fi
	;;
*)
	echo "get.sh: $1 is neither tlogcheck nor sigstore" >&2
	exit 2
	;;
esac
