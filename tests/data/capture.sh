#!/usr/bin/env bash
# Plays capture.txt on the engine of this machine and writes down what its API says meanwhile:
# events.jsonl, in the engine's order, and answers.jsonl, one answer a path at the snapshot.
# usage: tests/data/capture.sh FOLDER   (the image netalias-test/busybox must exist)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=$1
mkdir -p "$to"
socket=/var/run/docker.sock
get() { curl -s --unix-socket $socket "http://d$1"; }

raw=$(mktemp)
curl -sN --unix-socket $socket "http://d/events" >"$raw" &
reader=$!
trap 'kill $reader 2>/dev/null || true; rm -f "$raw"' EXIT

# One answer as {path, status, type, api, body}.
answer() {
  curl -s -D "$raw.head" --unix-socket $socket "http://d$1" >"$raw.body"
  jq -n --arg path "$1" --rawfile head "$raw.head" --rawfile body "$raw.body" '
    ($head | split("\r\n")) as $lines
    | {path: $path, status: ($lines[0] | split(" ")[1] | tonumber),
       headers: ($lines[1:] | map(select(contains(": ")) | split(": ")
         | {key: (.[0] | ascii_downcase), value: .[1]}) | from_entries),
       body: (try ($body | fromjson) catch $body)}'
}

snapshot() {
  mine='filters=%7B%22label%22%3A%5B%22nt-capture%22%5D%7D'
  {
    for path in /_ping /version "/containers/json?$mine" "/containers/json?all=1&$mine" \
      "/networks?$mine" /containers/nt-none/json /networks/nt-none /nowhere \
      /v1.99/version /v1.1/version; do
      answer "$path"
    done
    for name in $(docker ps -a --filter label=nt-capture --format '{{.Names}}' | sort); do
      answer "/containers/$name/json"
    done
    for name in bridge host none nt-cap-a nt-cap-b; do answer "/networks/$name"; done
  } | jq -c --slurpfile ids <(docker ps -aq --no-trunc --filter label=nt-capture | jq -R .) '
    # What only this machine has does not belong into a capture.
    (.body | objects | .Containers // empty | objects) |= with_entries(select(.key | IN($ids[])))
    | (.. | objects | .KernelVersion // empty) |= "6.1.0"
    | (.body | objects | select(.HostConfig.NetworkMode? == "host") | .Config.Hostname) |= "host"
  ' >"$to/answers.jsonl"
}

while IFS= read -r line; do
  case $line in
    '# snapshot') snapshot ;;
    '#'* | '') ;;
    health*)
      read -r _ name state <<<"$line"
      for _ in $(seq 100); do
        [ "$(docker inspect --format '{{.State.Health.Status}}' "$name")" = "$state" ] && break
        sleep 0.1
      done ;;
    *) eval "$line" >/dev/null ;;
  esac
done <"$here/capture.txt"
sleep 1
kill $reader
# Only what is this capture's own; the machine may have others.
jq -c --slurpfile ids <(jq -c 'select(.Actor.Attributes.name // "" | startswith("nt-cap")) | .Actor.ID' "$raw" | sort -u) \
  'select((.Actor.ID as $id | $ids | index($id)) or .Action == "prune"
    or (.Actor.Attributes.container as $id | $ids | index($id)))' "$raw" >"$to/events.jsonl"
