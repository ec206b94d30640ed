"""What we serve: one folder a dialect. In each, `models` goes over the wire, `views` knows cluster objects, `service` decides, `handlers` speak HTTP."""
