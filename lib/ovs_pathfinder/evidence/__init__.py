"""What one unit finds out for one run: theory (traces) and practice (packets, counters, megaflows)."""
