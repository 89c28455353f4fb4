#!/usr/bin/env bash
# Send events from stdin, one JSON object per line, to the topic for producers without the SDK:
#
#   BROKER=localhost:9092 examples/inbound.sh < examples/inbound.jsonl
#
# Key and topic are found by the gateway (`tailrace streams run gateway`). An event without `id`, `time` and `sequence`
# gets them there; one that may be sent again after a failure should bring all three, so that it stays one event: with the
# `id` alone it is stamped anew, and counts as newer.
# What does not fit becomes a dead letter: `tailrace dlq ls`.
set -euo pipefail

: "${BROKER:?set it to HOST:PORT of a Kafka broker}"
: "${TOPIC:=collab.inbound}"
: "${TIMEOUT_MS:=30000}"

command -v kcat >/dev/null || { echo "kcat is missing: apt-get install kcat" >&2; exit 3; }

exec kcat -P -b "$BROKER" -t "$TOPIC" \
  -H "content-type=application/cloudevents+json" \
  -X acks=all -X enable.idempotence=true -X message.timeout.ms="$TIMEOUT_MS" -X message.max.bytes=2097152
