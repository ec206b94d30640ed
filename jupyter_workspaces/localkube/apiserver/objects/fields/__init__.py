"""Who manages which field of an object: types of fields, sets of fields, and what applying and updating make of both."""
