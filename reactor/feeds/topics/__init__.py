"""What is known of topics, and what to do next. No I/O."""
