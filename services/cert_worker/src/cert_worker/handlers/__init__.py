"""One file a use case: a request, one transaction, the rules, an answer."""
