"""Objects of all kinds: decoding, rules, managed fields, patches, and the engine for writes."""
