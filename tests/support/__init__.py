"""What several tests share: helpers, made-up data, servers. No test stands here."""
