"""Programs of pods as processes: the shim, mounts, limits and process trees."""
