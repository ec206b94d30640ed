"""PodSpecs, in pods and templates: defaults, admission of new pods, rules, allowed changes."""
