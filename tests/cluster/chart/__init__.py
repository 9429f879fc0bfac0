"""The product as its users install it: the packaged chart, by Helm."""
