"""Listeners that hold out against anybody: bounds on connections, times and bodies before anybody has signed in."""
