#!/bin/sh
# Fetches the console's libraries anew, at the versions below. Needs npm and the registry; nothing else here does.
set -eu
cd "$(dirname "$0")"
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
get() { # package version: unpacked into $work/$3
	mkdir -p "$work/$3"
	(cd "$work" && tar xzf "$(npm pack --silent "$1@$2")" -C "$3" --strip 1)
	cp "$work/$3/LICENSE" "$here/$3.LICENSE"
}
# modules name each other by file here, since bare names would need an import map, which the CSP refuses
local_names() {
	sed -e 's|\(["'"'"']\)preact/hooks["'"'"']|\1./hooks.js\1|g' -e 's|\(["'"'"']\)preact["'"'"']|\1./preact.js\1|g' \
		-e 's|\(["'"'"']\)@preact/signals-core["'"'"']|\1./signals-core.js\1|g' -e '/^\/\/# sourceMappingURL=/d'
}
get preact 11.2.0 preact
get htm 3.1.1 htm
get @preact/signals-core 1.14.5 signals-core
get @preact/signals 2.11.4 signals
get uplot 1.6.32 uplot
local_names <"$work/preact/dist/preact.mjs" >preact.js
local_names <"$work/preact/hooks/dist/hooks.mjs" >hooks.js
local_names <"$work/htm/dist/htm.module.js" >htm.js
local_names <"$work/signals-core/dist/signals-core.module.js" >signals-core.js
local_names <"$work/signals/dist/signals.module.js" >signals.js
{ cat "$work/uplot/dist/uPlot.iife.min.js"; echo 'export default uPlot;'; } >uplot.js
cp "$work/uplot/dist/uPlot.min.css" uplot.css
