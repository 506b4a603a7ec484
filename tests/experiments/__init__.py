"""Experiments that explain figures of the documentation. No part of the harness uses them."""
