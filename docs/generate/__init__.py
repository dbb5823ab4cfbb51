"""The pages of docs/ that are made from the code and from params.yaml. `make docs` writes them."""
