"""What clipbridge costs, measured on the computer it runs on: each number is a ratio or a sum within one run.

One module a group of measurements; `harness.py` holds what they share, `report.py` how they are told. Whether the
numbers are good enough is said in the table's last column, never by a failing test: a busy computer is no defect.
"""
