"""The factorization error of the paper's Eq. 6: exact where the data can be listed, estimated with a teacher on text."""
