"""The parts of bench/run: machine (what is measured where), gateways, rows, report."""
