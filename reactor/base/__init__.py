"""What every floor uses: locks, the wording of errors, texts of others made fit to be shown."""
