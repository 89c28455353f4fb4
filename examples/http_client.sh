#!/usr/bin/env bash
# Send one event, read from stdin, over HTTP (`tailrace http serve`), and again unchanged until it is in the log:
#
#   URL=http://127.0.0.1:8460 examples/http_client.sh < event.json
#
# Prints where it is. Exit 6: it does not fit the contract, stderr says which field. Exit 5: the log cannot be reached.
set -euo pipefail

: "${URL:=http://127.0.0.1:8460}"
: "${ATTEMPTS_MAX:=5}"
: "${WAIT_S:=1}"

event=$(cat)
# What it lacks of these the server would stamp anew each time, and a retry would be another event, or a newer one.
for name in id time sequence; do
  [[ $event == *"\"$name\""* ]] || {
    echo "the event needs \"$name\", the same one in each try; $URL/v1/events:validate gives one" >&2
    exit 6
  }
done

authorization=()
[[ -z ${TOKEN:-} ]] || authorization=(-H "Authorization: Bearer $TOKEN")
answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

for ((attempt = 1; attempt <= ATTEMPTS_MAX; attempt++)); do
  status=$(curl -sS --max-time 30 -o "$answer" -w '%{http_code}' "${authorization[@]}" \
    -H 'Content-Type: application/cloudevents+json' --data-binary "$event" "$URL/v1/events" || true)
  case $status in
    202) cat "$answer"; echo; exit 0 ;;
    000 | 408 | 429 | 503) sleep "$WAIT_S" ;;
    *) cat "$answer" >&2; echo >&2; exit 6 ;;
  esac
done
cat "$answer" >&2
exit 5
