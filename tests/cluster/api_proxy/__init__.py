"""Tests of the proxy in front of the API server, with the clients that people use."""
