"""Web 网络: HTTP in, out and through; SOAP on top of it. Everything has a limit."""
