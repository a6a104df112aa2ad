"""What every floor uses: locks, the wording of errors, and a safe form for texts of others."""
