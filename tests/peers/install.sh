#!/usr/bin/env bash
# Install the peers of these tests that are not Python packages: node's `ws` beside the programs
# that use it, and, as root where apt exists, nginx, Chromium, a screen for tkinter (Xvfb), tshark,
# and Redis. May be called again at any time; never fails its caller: what cannot be installed leads to
# skipped tests, which say the reason.
# What is missing in the end is named on stderr. `ws` goes to node/node_modules in this folder, or
# to the folder that REACTOR_TEST_NODE_MODULES names, whose name must be node_modules too.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
modules=${REACTOR_TEST_NODE_MODULES:-$here/node/node_modules}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

have() { command -v "$1" >/dev/null 2>&1; }
quietly() { "$@" >>"$log" 2>&1 </dev/null; }

find_chromium() { have chromium || have chromium-browser || have google-chrome; }
find_nginx() { have nginx || [ -x /usr/sbin/nginx ]; }
find_ws() { [ -f "$modules/ws/package.json" ]; }

packages=()
have node && have npm || packages+=(nodejs npm)
find_nginx || packages+=(nginx-light)
find_chromium || packages+=(chromium)
have xvfb-run || packages+=(xvfb xauth)
have tshark || packages+=(tshark)
have redis-server || packages+=(redis-server)
if [ ${#packages[@]} -gt 0 ] && have apt-get && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    # Debian starts servers that it has just installed: not here.
    policy=/usr/sbin/policy-rc.d
    made_policy=no
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy" && made_policy=yes
    fi
    updated=no
    for package in "${packages[@]}"; do  # one by one: one that does not exist takes none along
        quietly apt-get install -y --no-install-recommends "$package" && continue
        [ $updated = no ] && quietly apt-get update
        updated=yes
        quietly apt-get install -y --no-install-recommends "$package"
    done
    [ $made_policy = yes ] && rm -f "$policy"
fi

if ! find_ws && have npm; then
    folder=$(dirname "$modules")
    mkdir -p "$folder"
    [ "$folder" -ef "$here/node" ] || cp "$here/node/package.json" "$folder/"
    # Where there is no registry, that is known in a minute.
    quietly npm install --prefix "$folder" --no-audit --no-fund --no-package-lock \
        --fetch-retries=1 --fetch-timeout=15000
fi

missing=""
have node || missing="$missing node"
find_ws || missing="$missing ws(npm)"
find_nginx || missing="$missing nginx"
find_chromium || missing="$missing chromium"
have xvfb-run || missing="$missing xvfb"
have tshark || missing="$missing tshark"
have redis-server || missing="$missing redis-server"
if [ -n "$missing" ]; then
    echo "tests/peers: not installed:$missing" >&2
    tail -n 5 "$log" >&2
fi
exit 0
