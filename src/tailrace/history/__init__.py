"""Other products' exports, turned into contract events: `slack.slack_events` makes them, `sending.send` passes on."""
