"""Our kinds of objects: CRDs, sample kinds, what makes an object valid, quantities, names. Pure; knows no cluster and no HTTP."""
