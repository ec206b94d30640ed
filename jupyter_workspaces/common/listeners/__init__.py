"""Listeners that limit connections, times and bodies before any authentication."""
