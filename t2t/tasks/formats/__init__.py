"""Examples of the published benchmarks as text, exactly as T5 wrote them: pure functions."""
